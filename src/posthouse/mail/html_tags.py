"""Where the tags and attributes of an HTML text stand, so that it can be edited without being written anew.

Follows the tokenizer of the WHATWG HTML standard (section 13.2.5) over bytes of any charset that leaves ASCII alone, as
far as it takes to tell markup from text, and the one thing of tree construction it depends on: inside svg and math
(13.2.6.5) there are CDATA sections and no raw text. Everything is found, whatever the input, in one pass over it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLANK = rb"\t\n\f\r "
_VALUE = rb"""(?:"[^"]*+"|'[^']*+'|[^%b>"'][^%b>]*+|(?=>))""" % (_BLANK, _BLANK)
_NAME = rb"[^%b/>][^%b/>=]*+" % (_BLANK, _BLANK)
_ATTRIBUTE = re.compile(
    # No possessive group around one that captures: re of Python 3.11.2 gets lost there (CPython issue 101955).
    rb"[%b/]*+(?P<name>%b)(?:[%b]*+=[%b]*+(?P<value>%b))?" % (_BLANK, _NAME, _BLANK, _BLANK, _VALUE),
    re.DOTALL,
)
# A quote that is never closed reaches to the end of the text: then nothing matches, and there is no such tag.
_TAG_END = re.compile(
    rb"(?:[%b/]*+%b(?:[%b]*+=[%b]*+%b|(?![%b]*+=)))*+[%b/]*+>"
    % (_BLANK, _NAME, _BLANK, _BLANK, _VALUE, _BLANK, _BLANK),
    re.DOTALL,
)
_MARKUP = re.compile(rb"<(?:(?P<tag>/?[A-Za-z][^%b/>]*+)|(?P<comment>!--)|(?P<cdata>!\[CDATA\[)|[!?/])" % _BLANK)
# "<!-->" and "<!--->" are whole comments, "<!--!>" is none: hence the search from inside the opening.
_COMMENT_END = re.compile(rb"--!?>")
_RAW_TEXT = (b"title", b"textarea", b"style", b"xmp", b"iframe", b"noembed", b"noframes")
_RAW_TEXT_END = {
    name: re.compile(rb"</%b(?=[%b/>])" % (name, _BLANK), re.IGNORECASE) for name in (*_RAW_TEXT, b"script")
}
# 13.2.5.17 to 13.2.5.31: in a script, a comment with a second "<script" in it hides the end tag of that one.
_SCRIPT_STEP = re.compile(rb"<!--|-->|<(/?)script(?=[%b/>])" % _BLANK, re.IGNORECASE)
_FOREIGN = (b"svg", b"math")
# 13.2.6.5: start tags that end svg and math though nobody closed them.
_BREAKS_OUT = frozenset(
    b"b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta "
    b"nobr ol p pre ruby s small span strong strike sub sup table tt u ul var".split()
)


class Piece(NamedTuple):
    """Something that is no text: a tag, a comment, the content of a script ..."""

    name: bytes
    """Of a tag, in lower case; empty for all else."""
    start: int
    end: int
    closing: bool = False
    """An end tag."""
    unfinished: bool = False
    """It reaches to the end of the text for want of its own end."""


class Attribute(NamedTuple):
    """An attribute of a tag, by offsets in the text."""

    name: bytes
    """Lower case."""
    start: int
    value_start: int
    """Behind the quote, where there is one. The offsets of an attribute without a value are both its end."""
    value_end: int
    end: int


def pieces(html: bytes) -> Iterator[Piece]:
    """All that is not text, in order and without overlap."""
    at, foreign = 0, 0
    cdata_ends = html.rfind(b"]]>")
    while (found := _MARKUP.search(html, at)) is not None:
        piece = _piece(html, found, foreign, cdata_ends)
        yield piece
        if piece.unfinished:
            return
        at = piece.end
        if not piece.name:
            continue
        foreign = _depth(html, piece, foreign)
        if not foreign and not piece.closing and (piece.name in _RAW_TEXT_END or piece.name == b"plaintext"):
            end = _raw_text_end(html, piece)
            yield Piece(b"", at, len(html) if end is None else end, unfinished=end is None)
            if end is None:
                return
            at = end


def attributes(html: bytes, tag: Piece) -> Iterator[Attribute]:
    """The attributes of a tag that `pieces` found in `html`, as written: the first of equal names counts."""
    at = tag.start + 1 + len(tag.name) + tag.closing
    while (found := _ATTRIBUTE.match(html, at, tag.end)) is not None:
        at = found.end()
        value_start, value_end = found.span("value") if found["value"] is not None else (at, at)
        quoted = html[value_start : value_start + 1] in (b'"', b"'") and value_start < value_end
        name = found["name"].lower()
        yield Attribute(name, found.start("name"), value_start + quoted, value_end - quoted, at)


def _piece(html: bytes, found: re.Match[bytes], foreign: int, cdata_ends: int) -> Piece:
    start = found.start()
    if found["tag"] is not None:
        closing = found["tag"].startswith(b"/")
        tag_end = _TAG_END.match(html, found.end())
        if tag_end is None:
            return Piece(b"", start, len(html), unfinished=True)
        return Piece(found["tag"][closing:].lower(), start, tag_end.end(), closing)
    if found["comment"] is not None:
        return _until(html, start, _comment_end(html, start))
    if found["cdata"] is not None and foreign:
        return _until(html, start, html.find(b"]]>", start) + 3 if start < cdata_ends else 0)
    # Doctypes, processing instructions, "</3" and "<![if !mso]>" (13.2.5.41): up to the next ">".
    return _until(html, start, html.find(b">", start) + 1)


def _until(html: bytes, start: int, end: int) -> Piece:
    return Piece(b"", start, end or len(html), unfinished=end <= 0)


def _comment_end(html: bytes, start: int) -> int:
    end = _COMMENT_END.search(html, start + 2)
    if end is not None and end.group() == b"--!>" and end.start() == start + 2:
        end = _COMMENT_END.search(html, start + 4)
    return end.end() if end is not None else 0


def _depth(html: bytes, tag: Piece, foreign: int) -> int:
    """How many svg and math elements are open after a tag."""
    if tag.name in _FOREIGN:
        if tag.closing:
            return max(foreign - 1, 0)
        return foreign if html[tag.end - 2 : tag.end - 1] == b"/" else foreign + 1
    return 0 if foreign and not tag.closing and tag.name in _BREAKS_OUT else foreign


def _raw_text_end(html: bytes, tag: Piece) -> int | None:
    """Where the end tag of an element starts that holds text alone; None where it has none."""
    if tag.name == b"plaintext":
        return None
    if tag.name == b"script":
        return _script_end(html, tag.end)
    end = _RAW_TEXT_END[tag.name].search(html, tag.end)
    return end.start() if end is not None else None


def _script_end(html: bytes, at: int) -> int | None:
    escaped = hidden = False
    while (step := _SCRIPT_STEP.search(html, at)) is not None:
        at = step.end()
        if step.group() == b"<!--":
            escaped = True
            at -= 2  # "<!-->" ends what it begins
        elif step.group() == b"-->":
            escaped = hidden = False
        elif step[1] and not hidden:
            return step.start()
        elif escaped:
            hidden = not step[1]
    return None
