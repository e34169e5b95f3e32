"""Open and click tracking: links of an outgoing message lead through us, and a pixel tells that it was opened.

Follows the SES developer guide, "Metrics FAQs" (open and click tracking): ``<a href>`` of HTML parts alone, at most
250 links, ``ses:no-track`` and ``ses:tags``, ``{{ses:openTracker}}``, and nothing that is no URL by RFC 3986. Every
byte but the hrefs, those attributes and the pixel stays as it was: HTML is never written anew.
What is signed or encrypted from end to end (RFC 1847, RFC 8551) is left alone, and so are attachments.
Pure: where links lead to is the plan's business (tracking_tokens).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from posthouse.mail import html_tags, html_text, mime
from posthouse.mail.headers import Field, Message
from posthouse.mail.mime import Part
from posthouse.mail.tracking_parts import Edit, Rewritten, content_of, put_back

MAX_LINKS = 250
MAX_TARGET = 4096
"""Characters of a URL with its tags: common proxies take request lines of 8 KB, and the link is longer by a third."""
OPEN_TRACKER = b"{{ses:openTracker}}"
SEALED_TYPES = ("multipart/signed", "multipart/encrypted")
"""Not looked into: a changed byte would break what the author signed."""

_NO_TRACK, _TAGS = b"ses:no-track", b"ses:tags"
_NAME_OF_EQUALS = re.compile(rb"[\t\n\f\r /]*+=")
_TAG = re.compile(r"[0-9A-Za-z_-]+\Z")
_CHARS = r"(?:[A-Za-z0-9._~!$&'()*+,;=%s-]|%%[0-9A-Fa-f]{2})"
# RFC 3986 appendix A, for the two schemes of the web; RFC 9110 section 4.2.1: an empty host is invalid there.
_URL = re.compile(
    r"https?://(?:{user}*+@)?(?:\[[0-9A-Fa-f:.]+\]|{name}++)(?::[0-9]*)?(?:/{path}*+)?(?:\?{query}*+)?(?:#{query}*+)?\Z".format(
        user=_CHARS % ":", name=_CHARS % "", path=_CHARS % ":@/", query=_CHARS % ":@/?"
    ),
    re.IGNORECASE,
)
# Charsets in which a "<" may be half of another character, or is more than one byte.
_NOT_ASCII = re.compile(r"utf-?16|utf-?32|ucs|iso-10646|unicode(?!-1-1-utf-[78])|csunicode|hz|.*ebcdic|cp0|ibm-?0")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
# ISO-2022-JP and -KR write two-byte characters in ASCII's bytes, between escapes (RFC 1468, RFC 1557).
_SHIFTED = re.compile(rb"\x1b\$.*?(?:\x1b\([BJ]|\Z)|\x0e[^\x0f]*\x0f?", re.DOTALL)


class Target(NamedTuple):
    """What a tracked link stands for."""

    url: str
    number: int
    """From 1, in the order of the message."""
    tags: tuple[tuple[str, str], ...]
    """Of ``ses:tags``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tracked in a message."""

    click_url: Callable[[Target], str] | None
    """Makes the link that stands for a target; None: links stay."""
    open_url: str | None
    """Of the pixel; None: no pixel."""


@dataclass(slots=True)
class _Page:
    """An HTML part with what matters of it."""

    part: Part
    html: bytes
    anchors: list[html_tags.Piece] = field(default_factory=list)
    trackers: list[int] = field(default_factory=list)
    """Where OPEN_TRACKER stands."""
    shown_tracker: int | None = None
    """The first that is neither in a tag nor in a comment."""
    pixel_at: int = 0


def rewrite(message: Message, plan: Plan) -> Message | None:
    """The message with its links and pixel; None where there is nothing to change. Newlines have to be CRLF."""
    raw = b"\r\n" + message.body
    pages = [page for part in _html_parts(raw, message.fields) if (page := _read(raw, part)) is not None]
    if not pages:
        return None
    # One pixel counts one opening: in the part that has a place for it, else in the first.
    with_pixel = next((page for page in pages if page.shown_tracker is not None), pages[0])
    links = 0
    changed: list[Rewritten] = []
    for page in pages:
        edits, links = _link_edits(page, plan, links)
        edits += _pixel_edits(page, plan, page is with_pixel)
        rewritten = put_back(raw, page.part, page.html, _in_order(edits)) if edits else None
        if rewritten is not None:
            changed.append(rewritten)
    return put_together(raw, message.fields, changed) if changed else None


def _in_order(edits: list[Edit]) -> list[Edit]:
    """Without those that stand in another, as a placeholder in an attribute that goes."""
    ordered: list[Edit] = []
    for edit in sorted(edits):
        if not ordered or edit.start >= ordered[-1].end:
            ordered.append(edit)
    return ordered


def _html_parts(raw: bytes, fields: list[Field]) -> Iterator[Part]:
    for part in mime.walk(raw, fields, sealed=SEALED_TYPES).parts:
        attached = part.disposition[0] == "attachment" or bool(part.file_names)
        if part.content_type == "text/html" and not attached:
            yield part


def put_together(raw: bytes, fields: list[Field], changed: Sequence[Rewritten]) -> Message:
    """The message with those parts in the places of the old ones, in their order."""
    pieces: list[bytes] = []
    at = 2
    for each in changed:
        pieces += [raw[at : each.start], each.content]
        at = each.end
        if each.fields is not None:
            fields = each.fields
    return Message(fields, b"".join([*pieces, raw[at:]]))


# -- reading a part


def _read(raw: bytes, part: Part) -> _Page | None:
    charset = part.parameters.get("charset", "").strip().lower()
    html = content_of(raw, part)
    if html is None or _NOT_ASCII.match(charset) or html.startswith(_WIDE_MARKS):
        return None
    page = _Page(part, html)
    _look(page, _only_ascii(html) if charset.startswith("iso-2022") else html)
    return page


def _only_ascii(html: bytes) -> bytes:
    """The same length, with what only looks like ASCII made something else."""
    return _SHIFTED.sub(lambda shifted: b"\x80" * len(shifted[0]), html)


def _look(page: _Page, html: bytes) -> None:
    page.trackers = [found.start() for found in re.finditer(re.escape(OPEN_TRACKER), html)]
    page.pixel_at = len(html.rstrip(b" \t\r\n"))
    waiting = iter(page.trackers)
    tracker = next(waiting, None)
    for piece in html_tags.pieces(html):
        while tracker is not None and tracker < piece.end:
            if tracker < piece.start and page.shown_tracker is None:
                page.shown_tracker = tracker
            tracker = next(waiting, None)
        if piece.name == b"a" and not piece.closing:
            page.anchors.append(piece)
        elif piece.unfinished or (piece.name == b"body" and piece.closing):
            page.pixel_at = piece.start
    if tracker is not None and page.shown_tracker is None:
        page.shown_tracker = tracker


# -- deciding


def _link_edits(page: _Page, plan: Plan, links: int) -> tuple[list[Edit], int]:
    """Edits, and how many links the message has now."""
    edits: list[Edit] = []
    if plan.click_url is None:
        return edits, links
    for anchor in page.anchors:
        found: dict[bytes, html_tags.Attribute] = {}
        for attribute in html_tags.attributes(page.html, anchor):
            if attribute.name in (_NO_TRACK, _TAGS):
                edits.append(_removal(page.html, attribute))
            found.setdefault(attribute.name, attribute)
        href = found.get(b"href")
        if href is None or _NO_TRACK in found or links >= MAX_LINKS:
            continue
        url = _url(page.html[href.value_start : href.value_end])
        tags = _tags(page.html, found.get(_TAGS))
        if url is not None and len(url) + sum(len(key) + len(value) for key, value in tags) <= MAX_TARGET:
            links += 1
            link = html_text.escaped(plan.click_url(Target(url, links, tags)))
            edits.append(Edit(href.value_start, href.value_end, link.encode("ascii")))
    return edits, links


def _removal(html: bytes, attribute: html_tags.Attribute) -> Edit:
    start, end = attribute.start, attribute.end
    if _NAME_OF_EQUALS.match(html, end):
        # What follows would be the value of the attribute before this one; a slash keeps them apart.
        return Edit(start, end, b"/")
    if html[end : end + 1] in b"\t\n\f\r >" and html[start - 1 : start] in (b" ", b"\t"):
        # The blank before it goes too: nothing stands there that needs one behind it.
        start -= 1
    return Edit(start, end, b"")


def _url(written: bytes) -> str | None:
    """The target of a link; None for what is not to be tracked."""
    if len(written) > 4 * MAX_TARGET or not written.isascii():
        return None
    url = html_text.attribute_value(written.decode("ascii")).strip("\t\n\f\r ")
    return url if url.isascii() and _URL.match(url) else None


def _tags(html: bytes, attribute: html_tags.Attribute | None) -> tuple[tuple[str, str], ...]:
    """``k:v;k2:v2;``; what is no pair of SES's letters is left out."""
    if attribute is None:
        return ()
    written = html[attribute.value_start : attribute.value_end].decode("ascii", "replace")
    pairs = [pair.partition(":") for pair in html_text.attribute_value(written).split(";")]
    return tuple([(k.strip(), v.strip()) for k, _, v in pairs if _TAG.match(k.strip()) and _TAG.match(v.strip())])


def _pixel_edits(page: _Page, plan: Plan, here: bool) -> list[Edit]:
    """The pixel where it belongs, and no placeholder for it anywhere else."""
    pixel = _pixel(plan.open_url) if plan.open_url is not None and here else b""
    edits = [Edit(at, at + len(OPEN_TRACKER), pixel if at == page.shown_tracker else b"") for at in page.trackers]
    if pixel and page.shown_tracker is None:
        edits.append(Edit(page.pixel_at, page.pixel_at, pixel))
    return edits


def _pixel(url: str) -> bytes:
    """As SES writes it (observed)."""
    markup = f'<img alt="" src="{html_text.escaped(url)}" style="display: none; width: 1px; height: 1px;">'
    return markup.encode("ascii")
