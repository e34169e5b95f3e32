"""One rendering under way: where it stands, what it may still spend, and the text so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from posthouse.domain.handlebars.errors import LimitExceeded, MissingAttribute
from posthouse.domain.handlebars.values import MISSING, Missing, javascript_text


@dataclass(frozen=True, slots=True)
class Limits:
    """What one template may take. Work is counted in steps, so that it ends soon whatever the template is."""

    template_chars: int = 1024 * 1024
    nesting: int = 100
    """Blocks, else-ifs and sub-expressions within each other: as deep as the stack of Python lets three functions
    for each go without complaint."""
    depth: int = 100
    """The same while rendering, where partials add up."""
    steps: int = 1_000_000
    """A tag, an iteration, an element of a printed array: half a second or so."""
    output_chars: int = 10 * 1024 * 1024
    """SES's mails have 10 MB at most."""


class Vars:
    """The ``@`` variables of a loop or of a partial with content."""

    __slots__ = ("block", "first", "index", "key", "last", "parent")

    def __init__(self, parent: "Vars | None") -> None:
        self.parent = parent
        self.index: Any = MISSING
        self.key: Any = MISSING
        self.first: Any = MISSING
        self.last: Any = MISSING
        self.block: BlockContent | None = None

    def child(self) -> "Vars":
        made = Vars(self)
        made.index, made.key, made.first, made.last = self.index, self.key, self.first, self.last
        made.block = self.block
        return made


class Frame:
    """A context and those around it."""

    __slots__ = ("here", "params", "parent", "vars")

    def __init__(self, here: Any, parent: "Frame | None", vars: Vars, params: "Params | None") -> None:
        self.here = here
        self.parent = parent
        self.vars = vars
        self.params = params


Params: TypeAlias = tuple[tuple[Any, ...], Any]
"""The values of a block's parameters, and the Params of the block around it or None."""
Body: TypeAlias = Callable[["Run", Frame, Frame | None], None]
"""Runs in a frame; the other one is where the block itself stands, which its inline partials see behind theirs."""
Operation: TypeAlias = Callable[["Run", Frame], None]
Getter: TypeAlias = Callable[["Run", Frame], Any]


@dataclass(frozen=True, slots=True)
class BlockContent:
    """What stands between ``{{#> name}}`` and ``{{/name}}``, with the place that it stands in."""

    body: Body
    frame: Frame
    outer: "BlockContent | None"


class Run:
    __slots__ = ("depth", "out", "partials", "room", "root", "steps")

    def __init__(self, root: Any, limits: Limits) -> None:
        self.root = root
        self.out: list[str] = []
        self.partials: dict[str, tuple[Body, Frame | None]] = {}
        self.steps = limits.steps
        self.room = limits.output_chars
        self.depth = limits.depth

    def overdrawn(self) -> NoReturn:
        if self.depth < 0:
            raise LimitExceeded("Rendering the template nests too deeply")
        if self.room < 0:
            raise LimitExceeded("The rendered template is too long")
        raise LimitExceeded("Rendering the template takes too many steps")

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            self.overdrawn()

    def write(self, text: str) -> None:
        self.room -= len(text)
        if self.room < 0:
            self.overdrawn()
        self.out.append(text)

    def text_of(self, value: Any, name: str) -> str:
        """As JavaScript appends it to a text, but for undefined, which is a missing attribute."""
        if type(value) is str:
            return value
        if value is None:
            return ""
        if isinstance(value, Missing):
            raise MissingAttribute(name)
        return self._joined(value) if type(value) is list else javascript_text(value)

    def _joined(self, array: Sequence[Any]) -> str:
        """Array.prototype.join: arrays within arrays read as one long list, null as nothing."""
        pieces: list[str] = []
        waiting = [iter(array or (None,))]
        length = 0
        while waiting:
            for value in waiting[-1]:
                self.spend(1)
                if type(value) is list:
                    waiting.append(iter(value or (None,)))
                    break
                text = "" if value is None else javascript_text(value)
                pieces.append(text)
                length += len(text) + 1
                if length > self.room + 1:
                    self.room = -1
                    self.overdrawn()
            else:
                waiting.pop()
        return ",".join(pieces)
