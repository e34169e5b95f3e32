"""What a template says, before it is made to run. Names follow the syntax tree of handlebars.js."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(slots=True)
class Strip:
    """The ``~`` of a tag: white space to go before it and after it."""

    open: bool = False
    close: bool = False


@dataclass(slots=True)
class Path:
    """``a.b``, ``../a``, ``this``, ``@index``: where a value is found."""

    parts: tuple[str, ...]
    depth: int
    is_data: bool
    """Begins with ``@``."""
    is_scoped: bool
    """Begins with ``this`` or a dot: never a helper or a block parameter."""
    original: str
    """As written, for error texts."""


@dataclass(slots=True)
class Literal:
    value: Any
    original: str


@dataclass(slots=True)
class Call:
    """A name with what follows it: ``lookup map key``, ``each list``, or a value alone."""

    path: "Expression"
    """A Call only as the name of a partial: ``{{> (lookup . "which")}}``."""
    params: "tuple[Expression, ...]"
    hash: "tuple[tuple[str, Expression], ...]"
    at: int
    """Where in the template."""


Expression: TypeAlias = "Path | Literal | Call"


@dataclass(slots=True)
class Content:
    value: str
    original: str
    left_stripped: bool = False
    right_stripped: bool = False


@dataclass(slots=True)
class Comment:
    strip: Strip


@dataclass(slots=True)
class Mustache:
    call: Call
    strip: Strip


@dataclass(slots=True)
class Partial:
    call: Call
    strip: Strip
    indent: str = ""
    """White space before it where it stands alone on its line: goes before each line of what it gives."""


@dataclass(slots=True)
class Program:
    body: "list[Node]"
    block_params: tuple[str, ...] = ()
    chained: bool = False
    """Made for an ``{{else if}}``: holds that one block."""


@dataclass(slots=True)
class Block:
    call: Call
    program: Program | None
    inverse: Program | None
    open_strip: Strip = field(default_factory=Strip)
    inverse_strip: Strip = field(default_factory=Strip)
    close_strip: Strip = field(default_factory=Strip)

    @property
    def chain(self) -> "Block | None":
        """The block of its ``{{else if}}``."""
        link = self.inverse.body[0] if self.inverse is not None and self.inverse.chained else None
        return link if isinstance(link, Block) else None


@dataclass(slots=True)
class PartialBlock(Block):
    """``{{#> name}}..{{/name}}``: a partial, or the content where there is none of that name."""


@dataclass(slots=True)
class Inline(Block):
    """``{{#* inline "name"}}..{{/inline}}``."""


Node: TypeAlias = Content | Comment | Mustache | Partial | Block
