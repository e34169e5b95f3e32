"""What the content of a custom verification e-mail may hold: HTML of a short list of elements and attributes.

Source: SES developer guide, "Custom verification email FAQs": the allowed tags and attributes, no comments, images by
URL or as base64. Read strictly and in one pass: whatever a browser could take for mark-up is an element of the list, or
the content is refused. So there is no second reading of it, and no time spent on guessing what broken HTML means.
"""

import html
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from posthouse.model.generated import CustomVerificationEmailInvalidContentException

MAX_CONTENT_BYTES = 10 * 1024 * 1024
MAX_TAGS = 50_000
"""Ours: bounds the time that reading takes."""

_COMMON = frozenset({"class", "id", "style", "title"})
_PLAIN_TAGS = (
    "abbr acronym address area b bdo big body br button caption center cite code dd del dfn dir div dl dt em fieldset"
    " font form h1 h2 h3 h4 h5 h6 head hr html i input ins kbd label legend li map menu optgroup option p pre s samp"
    " select small span strike strong sub sup tbody textarea tfoot thead tr tt u var"
)
ALLOWED = {
    **dict.fromkeys(_PLAIN_TAGS.split(), _COMMON),
    **dict.fromkeys(("blockquote", "q"), _COMMON | {"cite"}),
    **dict.fromkeys(("col", "colgroup"), _COMMON | {"span", "width"}),
    "img": _COMMON | {"align", "alt", "height", "src", "width"},
    "ol": _COMMON | {"start", "type"},
    "ul": _COMMON | {"type"},
    "table": _COMMON | {"summary", "width"},
    "td": _COMMON | {"abbr", "axis", "colspan", "rowspan", "width"},
    "th": _COMMON | {"abbr", "axis", "colspan", "rowspan", "scope", "width"},
}
"""Attributes by tag, all in lower case."""
_VOID = frozenset({"area", "br", "col", "hr", "img", "input"})
"""Never closed (HTML standard, "Void elements")."""
_ENDS = frozenset({"body", "html"})

# No "<" in a value: every "<" of the content is then seen here as what it might be to a browser, also inside a
# textarea, where a browser reads no attributes.
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[A-Za-z][^\s/<>]*+)"
    r"(?P<attributes>(?:[\s/]++(?:[^\s\"'<>/=]++(?:\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+'|[^\s\"'=<>`]++))?+)?+)*+)>",
    re.ASCII,
)
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]++)(?:\s*+=\s*+(?:\"([^\"<]*+)\"|'([^'<]*+)'|([^\s\"'=<>`]++)))?+", re.ASCII)
_DOCTYPE = re.compile(r"\s*<!doctype [^<>]*>", re.IGNORECASE | re.ASCII)
_MAY_START_MARKUP = re.compile(r"[A-Za-z/!?]")
_IMAGE = re.compile(r"data:image/(png|jpeg|jpg|gif|webp|bmp);base64,([A-Za-z0-9+/\s]++={0,2}+\s*+)\Z", re.ASCII)
_HOSTED = re.compile(r"https?://[^\s/?#]", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class InlineImage:
    """An image that stands in the content itself: ``html[start:end]`` is its data: URL."""

    start: int
    end: int
    subtype: str
    base64: str


class Piece(NamedTuple):
    """A stretch of text, or a tag."""

    text: str
    """With character references resolved."""
    tag: str = ""
    """Lower-case name, with a slash in front where the tag closes; empty: this is text."""


@dataclass(slots=True)
class Content:
    """What was found in accepted content."""

    pieces: list[Piece] = field(default_factory=list)
    images: list[InlineImage] = field(default_factory=list)
    end: int = 0
    """Where the body ends: before ``</body>``, ``</html>`` or at the very end."""
    left_open: list[str] = field(default_factory=list)
    """Elements that nobody closed, outermost first."""


def read_content(content: str) -> Content:
    """Reads the content once. Raises CustomVerificationEmailInvalidContentException for what is not allowed."""
    if not content.strip():
        raise _invalid("it is empty")
    if len(content.encode(errors="replace")) > MAX_CONTENT_BYTES:
        raise _invalid(f"it is longer than {MAX_CONTENT_BYTES} bytes")
    found, open_tags = Content(end=-1), _OpenTags()
    doctype = _DOCTYPE.match(content)
    at = doctype.end() if doctype else 0
    for _ in range(MAX_TAGS):
        start = _next_tag(content, at)
        found.pieces.append(Piece(html.unescape(content[at : len(content) if start < 0 else start])))
        if start < 0:
            found.end = len(content) if found.end < 0 else found.end
            found.left_open = open_tags.names()
            return found
        at = _read_tag(content, start, found, open_tags)
    raise _invalid(f"it has more than {MAX_TAGS} tags")


def _next_tag(content: str, at: int) -> int:
    """Where mark-up starts next, or -1: a "<" before a blank or a digit is text (HTML standard, "Tag open state")."""
    while (at := content.find("<", at)) >= 0:
        if _MAY_START_MARKUP.match(content, at + 1):
            return at
        at += 1
    return -1


def _read_tag(content: str, start: int, found: Content, open_tags: "_OpenTags") -> int:
    """Checks the tag and returns where it ends."""
    if content.startswith("<!--", start):
        raise _invalid("HTML comments are not allowed")
    tag = _TAG.match(content, start)
    if tag is None:
        raise _invalid(f"malformed HTML at {content[start : start + 40]!r}")
    name, closing = tag["name"].lower(), bool(tag["close"])
    if name not in ALLOWED:
        raise _invalid(f"the tag <{name[:40]}> is not allowed")
    if closing and name in _ENDS and found.end < 0:
        found.end = start
    elif name not in _VOID | _ENDS:
        open_tags.met(name, closing)
    found.pieces.append(Piece("", tag["close"] + name))
    for attribute in _ATTRIBUTE.finditer(content, tag.start("attributes"), tag.end("attributes")):
        _check_attribute(name, attribute, found)
    return tag.end()


def _check_attribute(tag: str, attribute: re.Match[str], found: Content) -> None:
    name = attribute[1].lower()
    if name not in ALLOWED[tag]:
        raise _invalid(f"the attribute {name[:40]} is not allowed in the tag <{tag}>")
    if tag == "img" and name == "src" and attribute.lastindex != 1:
        _check_source(attribute, found)


def _check_source(attribute: re.Match[str], found: Content) -> None:
    group = attribute.lastindex or 0
    source = html.unescape(attribute[group]).strip()
    if _HOSTED.match(source):
        return
    image = _IMAGE.match(source)
    if image is None:
        raise _invalid("the source of an image is neither an http or https URL nor base64 of an image")
    found.images.append(InlineImage(attribute.start(group), attribute.end(group), image[1], image[2]))


class _OpenTags:
    """Elements that were opened and not closed. Names are counted, so that a tag that closes nothing costs nothing."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._count: Counter[str] = Counter()

    def met(self, name: str, closing: bool) -> None:
        if not closing:
            self._open.append(name)
            self._count[name] += 1
            return
        while self._count[name]:
            last = self._open.pop()
            self._count[last] -= 1
            if last == name:
                return

    def names(self) -> list[str]:
        return list(self._open)


def _invalid(why: str) -> CustomVerificationEmailInvalidContentException:
    return CustomVerificationEmailInvalidContentException(f"The template content is invalid: {why}.")
