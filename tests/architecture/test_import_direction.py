"""Who may import whom: docs/architecture.md as a test."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "posthouse"

# Each room with the rooms it may import; rooms on one level never import each other.
GROUND = {"model", "wire", "domain", "mail"}
ALLOWED = {
    "model": set(),
    "wire": {"model"},
    "domain": {"model"},
    "mail": {"wire", "domain", "model"},
    "ports": GROUND,
    "submission": {"ports", *GROUND},
    "delivery": {"submission", "ports", *GROUND},
    "receiving": {"submission", "ports", *GROUND},
    "publishing": {"submission", "ports", *GROUND},
    "upkeep": {"submission", "ports", *GROUND},
    "operations": {"delivery", "receiving", "publishing", "upkeep", "submission", "ports", *GROUND},
    "api": {"operations", "submission", "ports", *GROUND},
    "dns": {"submission", "ports", *GROUND},
    "smtp": {"receiving", "submission", "ports", *GROUND},
    "web": {"operations", "delivery", "receiving", "publishing", "upkeep", "submission", "ports", *GROUND},
    "stores": {"ports", *GROUND},
    "adapters": {"ports", *GROUND},
}
ANYWHERE_ABOVE_GROUND = {"config", "observe"}
TOWER = {"assembly", "cli", "serve"}


def imports_of(path: Path) -> set[str]:
    """Rooms (or top modules) of posthouse that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [
                f"{node.module}.{alias.name}" if node.module == "posthouse" else node.module for alias in node.names
            ]
        found |= {name.split(".")[1] for name in names if name.startswith("posthouse.")}
    return found - {"__version__"}


def rooms() -> list[str]:
    return sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists() and path.name not in TOWER)


def test_every_room_is_drawn() -> None:
    assert set(rooms()) == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_lies_below(room: str) -> None:
    allowed = ALLOWED[room] | {room} | (set() if room in GROUND else ANYWHERE_ABOVE_GROUND)
    for path in (SOURCE / room).rglob("*.py"):
        assert imports_of(path) <= allowed, f"{path.relative_to(SOURCE)} reaches for {imports_of(path) - allowed}"


def test_nobody_imports_the_tower() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.parent != SOURCE and path.relative_to(SOURCE).parts[0] not in TOWER:
            assert not imports_of(path) & TOWER, path


@pytest.mark.parametrize("room", sorted(GROUND))
def test_the_ground_does_no_io(room: str) -> None:
    forbidden = {"socket", "asyncio", "time", "random", "secrets", "os", "logging", "subprocess", "threading", "email"}
    for path in (SOURCE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & forbidden, path


def module_graph() -> dict[str, set[str]]:
    """Modules and what they import at load time (imports inside functions do not make a cycle)."""
    graph: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(("posthouse", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        found = set()
        for node in _outside_functions(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("posthouse"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names if alias.name.startswith("posthouse")}
        graph[name] = found - {name}
    return {name: {target for target in targets if target in graph} for name, targets in graph.items()}


def _outside_functions(tree: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or typing_only:
            continue
        found += [node, *_outside_functions(node)]
    return found


def test_there_is_no_import_cycle() -> None:
    graph = module_graph()
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " > ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                # A package's door stands before each of its modules; only real modules make a cycle.
                if target != name.rpartition(".")[0]:
                    visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_every_room_says_at_its_door_what_it_is_for() -> None:
    for room in rooms():
        door = ast.get_docstring(ast.parse((SOURCE / room / "__init__.py").read_text())) or ""
        assert len(door) > 150, f"{room}: the door says too little"
        assert "May import" in door, room
        assert "Not here" in door, room
