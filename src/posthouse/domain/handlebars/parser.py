"""From tokens to the tree, by the grammar of handlebars.js 4.7.

More is understood in one place: a number or ``true`` after a dot is a name, so that ``list.0`` needs no brackets.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from posthouse.domain.handlebars.errors import LimitExceeded, SyntaxFailure
from posthouse.domain.handlebars.lexer import Token, tokens
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
    Strip,
)
from posthouse.domain.handlebars.values import MISSING, javascript_text

B = TypeVar("B", bound=Block)
_ENDS = frozenset({"end", "open_end", "inverse", "open_chain", "raw_end"})
_DOTS = frozenset({"here", "parent"})
_NAMES = frozenset({"name", "bracketed", *_DOTS})
_LITERALS = frozenset({"double_quoted", "single_quoted", "number", "boolean", "undefined", "null"})
_VALUES = frozenset({*_NAMES, *_LITERALS, "data"})
_AFTER_DOT = frozenset({*_NAMES, "number", "boolean", "undefined", "null"})
_BRACKET_ESCAPE = re.compile(r"\\([\\\]])")


def parse_tree(text: str, nesting: int) -> Program:
    """Raises SyntaxFailure, and LimitExceeded where blocks or sub-expressions nest deeper than that."""
    parser = _Parser(text, nesting)
    program = parser.program()
    parser.take("end")
    return program


class _Parser:
    def __init__(self, text: str, nesting: int) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._room = nesting

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def take(self, *kinds: str) -> Token:
        token = self._tokens[self._at]
        if token.kind not in kinds:
            raise self._unexpected(token)
        self._at += 1
        return token

    def _unexpected(self, token: Token) -> SyntaxFailure:
        shown = repr(token.text[:40]) if token.text else "the end"
        return self._fault(token.at, f"{shown} is not expected here")

    def _fault(self, at: int, reason: str) -> SyntaxFailure:
        return SyntaxFailure.at(self._text, at, reason)

    # -- statements

    def program(self) -> Program:
        body: list[Node] = []
        while self._next.kind not in _ENDS:
            body.append(self._statement())
        return Program(body)

    def _statement(self) -> Node:
        text = self._next.text
        match self._next.kind:
            case "content":
                self._at += 1
                return Content(text, text)
            case "comment":
                self._at += 1
                return Comment(_strip(text, text))
            case "open" | "open_unescaped":
                return self._mustache()
            case "open_partial":
                return self._partial()
            case "open_raw":
                return self._raw_block()
            case "open_block":
                return self._nested(self._block)
            case "open_inverse":
                return self._nested(self._inverse_block)
            case "open_partial_block":
                return self._nested(self._partial_block)
        raise self._unexpected(self._next)

    def _nested(self, inner: Callable[[], B]) -> B:
        self._room -= 1
        if self._room < 0:
            raise LimitExceeded("The template nests too deeply")
        node = inner()
        self._room += 1
        return node

    def _mustache(self) -> Mustache:
        opening = self.take("open", "open_unescaped")
        if opening.text.endswith("*"):
            raise self._fault(opening.at, "there is no such decorator")
        call = self._call()
        closing = self.take("close_unescaped" if opening.kind == "open_unescaped" else "close")
        return Mustache(call, _strip(opening.text, closing.text))

    def _partial(self) -> Partial:
        opening = self.take("open_partial")
        call = self._call(is_partial=True)
        return Partial(call, _strip(opening.text, self.take("close").text))

    def _raw_block(self) -> Block:
        opening = self.take("open_raw")
        call = self._call()
        self.take("close_raw")
        content = self.take("content")
        self._check_close(call, self.take("raw_end").text, opening)
        body: list[Node] = [Content(content.text, content.text)] if content.text else []
        return Block(call, Program(body), None)

    def _block(self) -> Block:
        opening = self.take("open_block")
        call, params, strip = self._block_opening(opening)
        program = self.program()
        program.block_params = params
        kind = Inline if opening.text.endswith("*") else Block
        block = kind(call, program, None, open_strip=strip)
        self._inverse_chain(block)
        if kind is Inline and block.inverse is not None:
            raise self._fault(opening.at, "an inline partial has no else")
        self._close(block, opening)
        return block

    def _block_opening(self, opening: Token) -> tuple[Call, tuple[str, ...], Strip]:
        call = self._call()
        params = self._block_params()
        return call, params, _strip(opening.text, self.take("close").text)

    def _inverse_chain(self, block: Block) -> None:
        """``{{else}}`` or any number of ``{{else if}}``. Which strips a link takes over from where is handlebars.js's
        own doing (prepareBlock), odd as it is: the links but the first are closed by their own opening."""
        if self._next.kind == "inverse":
            self._plain_inverse(block)
        elif self._next.kind == "open_chain":
            link = self._nested(self._chain_link)
            block.inverse = Program([link], chained=True)
            block.inverse_strip = link.open_strip

    def _chain_link(self) -> Block:
        call, params, strip = self._block_opening(self.take("open_chain"))
        program = self.program()
        program.block_params = params
        link = Block(call, program, None, open_strip=strip)
        self._inverse_chain(link)
        if (deeper := link.chain) is not None:
            deeper.close_strip = deeper.open_strip
        return link

    def _plain_inverse(self, block: Block) -> None:
        token = self.take("inverse")
        block.inverse_strip = _strip(token.text, token.text)
        block.inverse = self.program()

    def _inverse_block(self) -> Block:
        opening = self.take("open_inverse")
        call, params, strip = self._block_opening(opening)
        inverse = self.program()
        inverse.block_params = params
        block = Block(call, None, None, open_strip=strip)
        if self._next.kind == "inverse":
            self._plain_inverse(block)
        block.program, block.inverse = block.inverse, inverse
        self._close(block, opening)
        return block

    def _partial_block(self) -> PartialBlock:
        opening = self.take("open_partial_block")
        call = self._call(is_partial=True)
        block = PartialBlock(call, None, None, open_strip=_strip(opening.text, self.take("close").text))
        block.program = self.program()
        self._close(block, opening)
        return block

    def _close(self, block: Block, opening: Token) -> None:
        if self._next.kind == "end":
            raise self._fault(opening.at, f"{opening.text}{_name_of(block.call)}}}}} is not closed")
        start = self.take("open_end")
        name = self._value().original
        block.close_strip = _strip(start.text, self.take("close").text)
        self._check_close(block.call, name, start)
        if (link := block.chain) is not None:
            link.close_strip = block.close_strip

    def _check_close(self, call: Call, name: str, token: Token) -> None:
        if _name_of(call) != name:
            raise self._fault(token.at, f"{{{{/{name}}}}} does not close {_name_of(call)}")

    # -- expressions

    def _call(self, is_partial: bool = False) -> Call:
        at = self._next.at
        path = self._param() if is_partial else self._value()
        params: list[Expression] = []
        while self._next.kind in _VALUES or self._next.kind == "open_sub":
            if self._tokens[self._at + 1].kind == "equals":
                break
            params.append(self._param())
        return Call(path, tuple(params), self._hash(), at)

    def _hash(self) -> tuple[tuple[str, Expression], ...]:
        pairs: list[tuple[str, Expression]] = []
        while self._next.kind in _NAMES:
            name = _segment(self.take(*_NAMES))
            self.take("equals")
            pairs.append((name, self._param()))
        return tuple(pairs)

    def _block_params(self) -> tuple[str, ...]:
        if self._next.kind != "open_params":
            return ()
        self._at += 1
        names = [_segment(self.take("name", "bracketed"))]
        while self._next.kind != "close_params":
            names.append(_segment(self.take("name", "bracketed")))
        self._at += 1
        return tuple(names)

    def _param(self) -> Expression:
        if self._next.kind != "open_sub":
            return self._value()
        self._room -= 1
        if self._room < 0:
            raise LimitExceeded("The template nests too deeply")
        self._at += 1
        call = self._call()
        self.take("close_sub")
        self._room += 1
        return call

    def _value(self) -> Path | Literal:
        token = self._next
        if token.kind in _LITERALS:
            self._at += 1
            return _literal(token)
        is_data = token.kind == "data"
        self._at += is_data
        return self._path(is_data)

    def _path(self, is_data: bool) -> Path:
        first = self._next
        original = ["@"] if is_data else []
        parts: list[str] = []
        depth, kinds = 0, _NAMES
        while True:
            token = self.take(*kinds)
            segment = _segment(token)
            original.append(segment)
            if token.kind not in _DOTS and token.text != "this":
                parts.append(segment)
            elif parts:
                raise self._fault(token.at, f"{''.join(original)} is not a path")
            else:
                depth += token.kind == "parent"
            if self._next.kind != "separator":
                break
            original.append(self.take("separator").text)
            kinds = _AFTER_DOT
        scoped = first.kind in _DOTS or first.text == "this"
        return Path(tuple(parts), depth, is_data, scoped, "".join(original))


def _strip(opening: str, closing: str) -> Strip:
    return Strip(opening[2:3] == "~", closing[-3:-2] == "~")


def _segment(token: Token) -> str:
    return _BRACKET_ESCAPE.sub(r"\1", token.text[1:-1]) if token.kind == "bracketed" else token.text


def _literal(token: Token) -> Literal:
    text = token.text
    match token.kind:
        case "double_quoted":
            text = text[1:-1].replace('\\"', '"')
            return Literal(text, text)
        case "single_quoted":
            text = text[1:-1].replace("\\'", "'")
            return Literal(text, text)
        case "boolean":
            return Literal(text == "true", text)
        case "number":
            value = float(text)
            return Literal(value, javascript_text(value))
    return Literal(None if token.kind == "null" else MISSING, text)


def _name_of(call: Call) -> str:
    return "(...)" if isinstance(call.path, Call) else call.path.original
