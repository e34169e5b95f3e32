"""Which white space around tags goes: ``~``, and lines on which a block tag, comment or partial stands alone.

After WhitespaceControl of handlebars.js 4.7, step by step: its results are the definition, odd ones included.
"""

from posthouse.domain.handlebars.lexer import SPACES
from posthouse.domain.handlebars.tree import Block, Comment, Content, Mustache, Node, Partial, Program, Strip

_BLANKS = " \t"


def strip_program(program: Program, is_root: bool = True) -> None:
    """Changes the tree in place."""
    body = program.body
    for at, node in enumerate(body):
        match node:
            case Content():
                continue
            case Mustache(strip=strip):
                _strip_around(body, at, strip)
            case Comment(strip=strip) | Partial(strip=strip):
                alone = _ends_line_before(body, at, is_root) and _ends_line_after(body, at, is_root)
                _strip_around(body, at, strip)
                if alone:
                    _standalone(body, at, node)
            case Block():
                _strip_block(body, at, node, is_root)


def _strip_around(body: list[Node], at: int, strip: Strip) -> None:
    if strip.close:
        _omit_right(body, at + 1, everything=True)
    if strip.open:
        _omit_left(body, at - 1, everything=True)


def _standalone(body: list[Node], at: int, node: Node) -> None:
    _omit_right(body, at + 1)
    if _omit_left(body, at - 1) and isinstance(node, Partial):
        before = body[at - 1]
        assert isinstance(before, Content)
        node.indent = before.original[len(before.original.rstrip(_BLANKS)) :]


def _strip_block(body: list[Node], at: int, block: Block, is_root: bool) -> None:
    for inner in (block.program, block.inverse):
        if inner is not None:
            strip_program(inner, is_root=False)
    opens_alone, closes_alone = _strip_inside(block)
    opens_alone = opens_alone and _ends_line_before(body, at, is_root)
    closes_alone = closes_alone and _ends_line_after(body, at, is_root)
    _strip_around(body, at, Strip(block.open_strip.open, block.close_strip.close))
    if opens_alone:
        _omit_right(_either(block.program, block.inverse).body, 0)
        _omit_left(body, at - 1)
    if closes_alone:
        _omit_right(body, at + 1)
        last = _either(block.inverse, block.program).body
        _omit_left(last, len(last) - 1)


def _either(one: Program | None, other: Program | None) -> Program:
    program = one or other
    assert program is not None
    return program


def _strip_inside(block: Block) -> tuple[bool, bool]:
    """White space within the block; whether its opening and its closing tag may stand alone, as seen from inside."""
    program = _either(block.program, block.inverse)
    first = block.inverse if block.program is not None else None
    last = first
    if first is not None and (link := block.chain) is not None:
        # As the original: what follows the chain's last {{else}} is stripped by the chain's own blocks.
        first = last = link.program
    opens_alone = _ends_line_after(program.body, -1)
    inner_end = _either(first, program).body
    closes_alone = _ends_line_before(inner_end, len(inner_end))
    if block.open_strip.close:
        _omit_right(program.body, 0, everything=True)
    if first is not None and last is not None:
        if block.inverse_strip.open:
            _omit_left(program.body, len(program.body) - 1, everything=True)
        if block.inverse_strip.close:
            _omit_right(first.body, 0, everything=True)
        if block.close_strip.open:
            _omit_left(last.body, len(last.body) - 1, everything=True)
        if _ends_line_before(program.body, len(program.body)) and _ends_line_after(first.body, -1):
            _omit_left(program.body, len(program.body) - 1)
            _omit_right(first.body, 0)
    elif block.close_strip.open:
        _omit_left(program.body, len(program.body) - 1, everything=True)
    return opens_alone, closes_alone


def _at(body: list[Node], at: int) -> Node | None:
    return body[at] if 0 <= at < len(body) else None


def _ends_line_before(body: list[Node], at: int, is_root: bool = False) -> bool:
    """Only white space stands between a line's beginning and what comes at this place."""
    before = _at(body, at - 1)
    if not isinstance(before, Content):
        return before is None and is_root
    text = before.original.rstrip(SPACES)
    begins = is_root and at < 2 and not text
    return begins or "\n" in before.original[len(text) :]


def _ends_line_after(body: list[Node], at: int, is_root: bool = False) -> bool:
    """Only white space stands between what is at this place and the line's end."""
    after = _at(body, at + 1)
    if not isinstance(after, Content):
        return after is None and is_root
    text = after.original.lstrip(SPACES)
    ends = is_root and at + 2 >= len(body) and not text
    return ends or "\n" in after.original[: len(after.original) - len(text)]


def _omit_right(body: list[Node], at: int, everything: bool = False) -> None:
    """White space at the beginning of the content at this place: to the line's end, or all there is."""
    node = _at(body, at)
    if not isinstance(node, Content) or (node.right_stripped and not everything):
        return
    if everything:
        value = node.value.lstrip(SPACES)
    else:
        value = node.value.lstrip(_BLANKS).removeprefix("\r").removeprefix("\n")
    node.right_stripped = value != node.value
    node.value = value


def _omit_left(body: list[Node], at: int, everything: bool = False) -> bool:
    """White space at the end of the content at this place: of its last line, or all there is. True where some went."""
    node = _at(body, at)
    if not isinstance(node, Content) or (node.left_stripped and not everything):
        return False
    value = node.value.rstrip(SPACES if everything else _BLANKS)
    node.left_stripped = value != node.value
    node.value = value
    return node.left_stripped
