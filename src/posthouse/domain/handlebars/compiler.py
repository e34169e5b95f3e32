"""From the tree to functions: what can be known from the template alone is found out once, here.

Each body is a list of pairs, a text and the operation after it. Values that are wanted raise MissingAttribute where
there are none; what decides a block may be missing (SES developer guide).
"""

from typing import Any, NoReturn

from posthouse.domain.handlebars.errors import MissingAttribute, RenderFailure, SyntaxFailure
from posthouse.domain.handlebars.running import BlockContent, Body, Frame, Getter, Operation, Params, Run, Vars
from posthouse.domain.handlebars.tree import (
    Block,
    Call,
    Comment,
    Content,
    Expression,
    Inline,
    Literal,
    Mustache,
    Node,
    Partial,
    PartialBlock,
    Path,
    Program,
)
from posthouse.domain.handlebars.values import MISSING, is_empty, is_same, is_true, javascript_text, member

HELPERS = frozenset({"each", "if", "unless", "with", "lookup", "log"})
"""All there are; SES knows no others, and none can be added. `log` writes nothing, anywhere."""
_BLOCK_CONTENT = "@partial-block"


def compile_program(program: Program, text: str) -> Body:
    """Raises SyntaxFailure for what could never be rendered: unknown helpers, wrong arguments, unknown partials."""
    compiler = _Compiler(text)
    body = compiler.body(program, 1)
    compiler.check_partials()
    return body


def _nothing(run: Run, frame: Frame, outer: Frame | None) -> None:
    """An else that is not there."""


class _Compiler:
    def __init__(self, text: str) -> None:
        self._text = text
        self._names: list[tuple[str, ...]] = []
        """Names of block parameters, those of the outermost block first."""
        self._defined: set[str] = set()
        self._called: list[tuple[str, int]] = []
        self._cost = 0
        """Of what is being compiled: how many steps one run through it is."""

    def check_partials(self) -> None:
        for name, at in self._called:
            if name not in self._defined:
                self._fail(at, f"the partial {name} does not exist")

    def _fail(self, at: int, reason: str) -> NoReturn:
        raise SyntaxFailure.at(self._text, at, reason)

    # -- bodies

    def body(self, program: Program | None, depth: int) -> Body:
        if program is None:
            return _nothing
        before, self._cost = self._cost, 1
        if program.block_params:
            self._names.append(program.block_params)
        pairs: list[tuple[str, Operation]] = []
        partials: dict[str, Body] = {}
        pieces: list[str] = []
        for node in program.body:
            if isinstance(node, Content):
                pieces.append(node.value)
            elif isinstance(node, Inline):
                partials[self._inline_name(node)] = self._inline(node)
            elif (operation := self._operation(node, depth)) is not None:
                pairs.append(("".join(pieces), operation))
                pieces = []
        if program.block_params:
            self._names.pop()
        made = _body(pairs, "".join(pieces), self._cost + len(pairs))
        self._cost = before
        return _defining(partials, made) if partials else made

    def _operation(self, node: Node, depth: int) -> Operation | None:
        self._cost += 1
        match node:
            case Mustache(call=call):
                return self._mustache(call)
            case PartialBlock():
                return self._partial_block(node, depth)
            case Block():
                return self._block(node, depth + 1)
            case Partial():
                return self._partial(node, depth)
            case Comment() | Content():
                return None

    def _inline_name(self, node: Inline) -> str:
        name = node.call.params[0] if len(node.call.params) == 1 else None
        if not _is_named(node.call, "inline"):
            self._fail(node.call.at, f"there is no decorator {_shown(node.call)}")
        if not isinstance(name, Literal):
            self._fail(node.call.at, "an inline partial needs a name in quotes")
        self._defined.add(name.original)
        return name.original

    def _inline(self, node: Inline) -> Body:
        # A partial is called from anywhere: the block parameters around its definition are not those around its call.
        before, self._names = self._names, []
        made = self.body(node.program, 1)
        self._names = before
        return made

    # -- tags

    def _mustache(self, call: Call) -> Operation:
        helper = self._helper_of(call)
        if helper is None:
            self._check_is_value(call)
            return _writing(self._value(_as_path(call.path)), _shown(call))
        if helper == "log":
            return _logging
        if helper != "lookup":
            self._fail(call.at, f"{helper} is a block: {{{{#{helper} ...}}}}")
        return _writing(_or_null(self._lookup(call, strict=True)), helper)

    def _block(self, block: Block, depth: int) -> Operation:
        call, helper = block.call, self._helper_of(block.call)
        then, otherwise = self.body(block.program, depth), self._otherwise(block, depth)
        then_params = len(block.program.block_params) if block.program else 0
        otherwise_params = len(block.inverse.block_params) if block.inverse else 0
        if helper in ("if", "unless", "with", "each") and len(call.params) != 1:
            self._fail(call.at, f"#{helper} takes exactly one argument")
        if helper in ("if", "unless"):
            then, otherwise = _with_no_params(then, then_params), _with_no_params(otherwise, otherwise_params)
            if helper == "unless":
                then, otherwise = otherwise, then
            return self._if(call, then, otherwise)
        otherwise = _with_no_params(otherwise, otherwise_params)
        if helper == "with":
            return _with(self._loose(call.params[0]), then, otherwise, then_params)
        if helper == "each":
            return _each(self._loose(call.params[0]), then, otherwise, then_params)
        if helper is not None:
            self._fail(call.at, f"{helper} is not a block")
        self._check_is_value(call)
        condition = self._value(_as_path(call.path))
        return _plain(condition, _each(condition, then, otherwise, then_params), then, otherwise, then_params)

    def _otherwise(self, block: Block, depth: int) -> Body:
        link = block.chain
        if link is None:
            return self.body(block.inverse, depth)
        operation = self._block(link, depth + 1)
        self._cost += 1
        return lambda run, frame, outer: operation(run, frame)

    def _if(self, call: Call, then: Body, otherwise: Body) -> Operation:
        condition = self._loose(call.params[0])
        for name, value in call.hash:
            if name == "includeZero":
                return _if_including_zero(condition, self._loose(value), then, otherwise)
        return _if(condition, then, otherwise)

    def _partial(self, partial: Partial, depth: int) -> Operation:
        name = self._partial_name(partial.call, must_exist=True)
        context, fields = self._partial_arguments(partial.call)
        invoke = _invoking(name, context, fields, depth)
        return _indenting(invoke, partial.indent) if partial.indent else invoke

    def _partial_block(self, block: PartialBlock, depth: int) -> Operation:
        name = self._partial_name(block.call, must_exist=False)
        context, fields = self._partial_arguments(block.call)
        return _invoking(name, context, fields, depth, self.body(block.program, depth + 1))

    def _partial_name(self, call: Call, must_exist: bool) -> Getter:
        if isinstance(call.path, Call):
            named = self._loose(call.path)
            return lambda run, frame: javascript_text(named(run, frame))
        name = call.path.original
        if must_exist and name != _BLOCK_CONTENT:
            self._called.append((name, call.at))
        return lambda run, frame: name

    def _partial_arguments(self, call: Call) -> tuple[Getter, tuple[tuple[str, Getter], ...]]:
        if len(call.params) > 1:
            self._fail(call.at, "a partial takes one context at most")
        context = self._strict(call.params[0]) if call.params else _here
        return context, tuple((name, self._strict(value)) for name, value in call.hash)

    # -- values

    def _helper_of(self, call: Call) -> str | None:
        """The helper that a tag means; None where it means a value."""
        path = _as_path(call.path)
        simple = len(path.parts) == 1 and not (path.depth or path.is_data or path.is_scoped)
        if not simple or self._param_of(path) is not None:
            return None
        return path.parts[0] if path.parts[0] in HELPERS else None

    def _check_is_value(self, call: Call) -> None:
        if call.params or call.hash:
            self._fail(call.at, f"there is no helper {_shown(call)}")

    def _strict(self, expression: Expression) -> Getter:
        """The value, or MissingAttribute."""
        if isinstance(expression, Call):
            return _or_null(self._sub_expression(expression, strict=True))
        value = self._loose(expression)
        return value if isinstance(expression, Literal) else _demanded(value, expression.original)

    def _loose(self, expression: Expression) -> Getter:
        """The value, or MISSING."""
        match expression:
            case Call():
                return self._sub_expression(expression, strict=False)
            case Literal(value=value):
                return lambda run, frame: value
            case Path():
                return self._value(expression)

    def _sub_expression(self, call: Call, strict: bool) -> Getter:
        if self._helper_of(call) != "lookup":
            self._fail(call.at, f"there is no helper {_shown(call)} that gives a value")
        return self._lookup(call, strict)

    def _lookup(self, call: Call, strict: bool) -> Getter:
        if len(call.params) != 2:
            self._fail(call.at, "lookup takes two arguments")
        self._cost += 1
        of, name = (self._strict(each) if strict else self._loose(each) for each in call.params)
        return _looking_up(of, name)

    def _value(self, path: Path) -> Getter:
        self._cost += len(path.parts) + path.depth
        if path.is_data:
            return _digging(_variable(path.parts[0], path.depth), path.parts[1:]) if path.parts else _missing
        if (param := self._param_of(path)) is not None:
            return _digging(_block_param(*param), path.parts[1:])
        if path.depth:
            return _digging(_around(path.depth), path.parts)
        return _key(path.parts[0]) if len(path.parts) == 1 else _digging(_here, path.parts)

    def _param_of(self, path: Path) -> tuple[int, int] | None:
        """How many blocks with parameters out, and which of its parameters; None where it is none."""
        if path.depth or path.is_data or path.is_scoped or not path.parts:
            return None
        for hops, names in enumerate(reversed(self._names)):
            if path.parts[0] in names:
                return hops, names.index(path.parts[0])
        return None


def _as_path(expression: Expression) -> Path:
    """``{{"a b"}}`` and ``{{12}}`` name keys as paths do."""
    if isinstance(expression, Path):
        return expression
    assert isinstance(expression, Literal)
    return Path((expression.original,), 0, False, False, expression.original)


def _is_named(call: Call, name: str) -> bool:
    return isinstance(call.path, Path | Literal) and call.path.original == name


def _shown(call: Call) -> str:
    return "(...)" if isinstance(call.path, Call) else call.path.original


# -- bodies


def _body(pairs: list[tuple[str, Operation]], tail: str, cost: int) -> Body:
    length = sum(len(text) for text, _ in pairs) + len(tail)
    if not pairs:
        return _text_only(tail, cost)
    fixed = tuple(pairs)

    def body(run: Run, frame: Frame, outer: Frame | None) -> None:
        run.steps -= cost
        run.room -= length
        if run.steps < 0 or run.room < 0:
            run.overdrawn()
        append = run.out.append
        for text, operation in fixed:
            if text:
                append(text)
            operation(run, frame)
        if tail:
            append(tail)

    return body


def _text_only(text: str, cost: int) -> Body:
    def body(run: Run, frame: Frame, outer: Frame | None) -> None:
        run.spend(cost)
        run.write(text)

    return body


def _defining(partials: dict[str, Body], inner: Body) -> Body:
    """Inline partials are there for all of the block that they are defined in, and for what it calls."""

    def body(run: Run, frame: Frame, outer: Frame | None) -> None:
        before = run.partials
        run.spend(len(before) + len(partials))
        run.partials = {**before, **{name: (partial, outer) for name, partial in partials.items()}}
        inner(run, frame, outer)
        run.partials = before

    return body


def _with_no_params(inner: Body, declared: int) -> Body:
    """A block may declare parameters that its helper gives no values."""
    if not declared:
        return inner

    def body(run: Run, frame: Frame, outer: Frame | None) -> None:
        inner(run, Frame(frame.here, frame.parent, frame.vars, ((), frame.params)), outer)

    return body


# -- values


def _here(run: Run, frame: Frame) -> Any:
    return frame.here


def _missing(run: Run, frame: Frame) -> Any:
    return MISSING


def _key(name: str) -> Getter:
    def get(run: Run, frame: Frame) -> Any:
        here = frame.here
        return here.get(name, MISSING) if type(here) is dict else member(here, name)

    return get


def _around(depth: int) -> Getter:
    def get(run: Run, frame: Frame) -> Any:
        at: Frame | None = frame
        for _ in range(depth):
            at = at.parent if at is not None else None
        return at.here if at is not None else MISSING

    return get


def _variable(name: str, depth: int) -> Getter:
    if name == "root":
        return lambda run, frame: run.root
    if name not in ("index", "key", "first", "last"):
        return _missing

    def get(run: Run, frame: Frame) -> Any:
        at: Vars | None = frame.vars
        for _ in range(depth):
            at = at.parent if at is not None else None
        # One of four names, all our own.
        return getattr(at, name) if at is not None else MISSING

    return get


def _block_param(hops: int, which: int) -> Getter:
    def get(run: Run, frame: Frame) -> Any:
        params: Params | None = frame.params
        for _ in range(hops):
            params = params[1] if params is not None else None
        return params[0][which] if params is not None and which < len(params[0]) else MISSING

    return get


def _digging(start: Getter, parts: tuple[str, ...]) -> Getter:
    if not parts:
        return start

    def get(run: Run, frame: Frame) -> Any:
        value = start(run, frame)
        for part in parts:
            value = value.get(part, MISSING) if type(value) is dict else member(value, part)
        return value

    return get


def _looking_up(of: Getter, name: Getter) -> Getter:
    def get(run: Run, frame: Frame) -> Any:
        value, key = of(run, frame), name(run, frame)
        if not is_true(value) and type(value) is not list:
            return value
        return member(value, run.text_of(key, "") if type(key) is list else javascript_text(key))

    return get


def _demanded(value: Getter, name: str) -> Getter:
    def get(run: Run, frame: Frame) -> Any:
        found = value(run, frame)
        if found is MISSING:
            raise MissingAttribute(name)
        return found

    return get


def _or_null(value: Getter) -> Getter:
    """What a lookup does not find prints nothing, as in handlebars.js: it is no attribute that was written down."""

    def get(run: Run, frame: Frame) -> Any:
        found = value(run, frame)
        return None if found is MISSING else found

    return get


# -- operations


def _logging(run: Run, frame: Frame) -> None:
    """The log is nobody's business here."""


def _writing(value: Getter, name: str) -> Operation:
    def operation(run: Run, frame: Frame) -> None:
        text = value(run, frame)
        if type(text) is not str:
            text = run.text_of(text, name)
        run.room -= len(text)
        if run.room < 0:
            run.overdrawn()
        run.out.append(text)

    return operation


def _if(condition: Getter, then: Body, otherwise: Body) -> Operation:
    def operation(run: Run, frame: Frame) -> None:
        value = condition(run, frame)
        if value or type(value) is dict:
            then(run, frame, frame)
        else:
            otherwise(run, frame, frame)

    return operation


def _if_including_zero(condition: Getter, included: Getter, then: Body, otherwise: Body) -> Operation:
    def operation(run: Run, frame: Frame) -> None:
        value = condition(run, frame)
        holds = not is_empty(value) if is_true(included(run, frame)) else is_true(value)
        (then if holds else otherwise)(run, frame, frame)

    return operation


def _inside(run: Run, frame: Frame, here: Any, then: Body, params: Params | None) -> None:
    """Runs a body with another context; the same one over again counts no level for ``../``."""
    parent = frame.parent if is_same(here, frame.here) else frame
    then(run, Frame(here, parent, frame.vars, params), frame)


def _with(value: Getter, then: Body, otherwise: Body, declared: int) -> Operation:
    def operation(run: Run, frame: Frame) -> None:
        here = value(run, frame)
        if is_empty(here):
            otherwise(run, frame, frame)
        else:
            _inside(run, frame, here, then, ((here,), frame.params) if declared else frame.params)

    return operation


def _each(value: Getter, then: Body, otherwise: Body, declared: int) -> Operation:
    def operation(run: Run, frame: Frame) -> None:
        items = value(run, frame)
        if not items or type(items) not in (dict, list):
            otherwise(run, frame, frame)
            return
        # Here, since an inverted loop has no body that would count.
        run.spend(len(items))
        vars = frame.vars.child()
        params = frame.params
        last = len(items) - 1
        is_object = type(items) is dict
        around = frame.here
        around_is_value = type(around) not in (dict, list)
        for index, item in enumerate(items):
            key = index
            if is_object:
                key, item = item, items[item]
            vars.index, vars.key, vars.first, vars.last = index, key, index == 0, index == last
            if declared:
                params = ((item, key), frame.params)
            parent = frame.parent if item is around or (around_is_value and is_same(item, around)) else frame
            then(run, Frame(item, parent, vars, params), frame)

    return operation


def _plain(value: Getter, each: Operation, then: Body, otherwise: Body, declared: int) -> Operation:
    """``{{#name}}..{{/name}}``: what handlebars.js has blockHelperMissing do."""

    def operation(run: Run, frame: Frame) -> None:
        here = value(run, frame)
        params = ((), frame.params) if declared else frame.params
        if here is True:
            _inside(run, frame, frame.here, then, params)
        elif here is False or here is None or here is MISSING:
            otherwise(run, frame, frame)
        elif type(here) is list:
            each(run, frame)
        else:
            _inside(run, frame, here, then, params)

    return operation


# -- partials


def _invoking(
    name: Getter, context: Getter, fields: tuple[tuple[str, Getter], ...], depth: int, content: Body | None = None
) -> Operation:
    """`depth`: how many blocks within its template or partial the call stands in; they stay open while it runs.
    `content`: of a ``{{#> name}}``; runs itself where there is no partial of that name."""

    def operation(run: Run, frame: Frame) -> None:
        called, here, vars = name(run, frame), context(run, frame), frame.vars
        if fields:
            here = _with_fields(run, frame, here, fields)
        if content is not None:
            vars = vars.child()
            vars.block = BlockContent(content, frame, frame.vars.block)
        run.depth -= depth
        if run.depth < 0:
            run.overdrawn()
        if called == _BLOCK_CONTENT:
            _run_content(run, vars, frame.vars.block, here)
        elif (partial := run.partials.get(called)) is not None:
            _run_partial(run, vars, partial, here)
        elif content is not None:
            _run_content(run, vars, vars.block, here)
        else:
            raise _not_found(called)
        run.depth += depth

    return operation


def _not_found(name: str) -> RenderFailure:
    return RenderFailure(f"The partial {name} could not be found")


def _with_fields(run: Run, frame: Frame, here: Any, fields: tuple[tuple[str, Getter], ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if type(here) in (dict, list):
        run.spend(len(here))
        made = dict(here) if type(here) is dict else {str(index): item for index, item in enumerate(here)}
    for name, value in fields:
        made[name] = value(run, frame)
    return made


def _run_partial(run: Run, vars: Vars, partial: tuple[Body, Frame | None], here: Any) -> None:
    body, around = partial
    parent = around.parent if around is not None and is_same(here, around.here) else around
    body(run, Frame(here, parent, vars, None), around)


def _run_content(run: Run, vars: Vars, content: BlockContent | None, here: Any) -> None:
    if content is None:
        raise _not_found(_BLOCK_CONTENT)
    vars = vars.child()
    vars.block = content.outer
    around = content.frame
    parent = around.parent if is_same(here, around.here) else around
    content.body(run, Frame(here, parent, vars, around.params), around)


def _indenting(invoke: Operation, indent: str) -> Operation:
    def operation(run: Run, frame: Frame) -> None:
        out, run.out = run.out, []
        invoke(run, frame)
        lines = "".join(run.out).split("\n")
        run.out = out
        run.spend(len(lines))
        last = lines.pop()
        indented = "".join(f"{indent}{line}\n" for line in lines) + (indent + last if last else "")
        run.room -= len(indent) * (len(lines) + bool(last))
        if run.room < 0:
            run.overdrawn()
        run.out.append(indented)

    return operation
