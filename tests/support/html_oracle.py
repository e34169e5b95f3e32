"""What an HTML parser that is not ours (Lexbor, a browser's parser) sees before and after tracking was put in."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser

from posthouse.mail import headers, tracking
from posthouse.mail.tracking import Plan, Target

LINK, PIXEL = "https://t.test/t/c/", "https://t.test/t/o/1"
# RFC 3986 section 2: unreserved, reserved and percent-encoded; brackets stand around IP addresses alone.
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+\Z")
_REMOVED = ("ses:no-track", "ses:tags")


@dataclass
class Tracked:
    """One HTML text with its links and pixel put in; `targets` in the order of the links."""

    html: bytes
    clicks: bool = True
    opens: bool = True
    targets: list[Target] = field(default_factory=list)
    after: bytes = b""

    def __post_init__(self) -> None:
        message = headers.read(b"Content-Type: text/html\r\nContent-Transfer-Encoding: binary\r\n\r\n" + self.html)
        plan = Plan(self._link if self.clicks else None, PIXEL if self.opens else None)
        changed = tracking.rewrite(message, plan)
        self.after = self.html if changed is None else changed.body

    def _link(self, target: Target) -> str:
        self.targets.append(target)
        return f"{LINK}{target.number}"

    def check(self) -> None:
        """Raises AssertionError where more or less was changed than should have been."""
        before, after = tree(self.html), tree(self.after)
        if self.opens:
            assert _take_pixel(after), "no pixel"
        _compare(before, after, self)


Node = list[Any]
"""Tag, attributes or text, children."""


def tree(html: bytes) -> Node:
    root = LexborHTMLParser(html.decode("latin-1")).root
    return ["#none", {}, []] if root is None else _node(root)


def _node(node: Any) -> Node:
    if node.tag == "-text":
        return ["-text", node.text_content, []]
    if node.is_comment_node:
        return ["-comment", node.comment_content, []]
    children = []
    child = node.child
    while child is not None:
        children.append(_node(child))
        child = child.next
    return [node.tag, dict(node.attributes), children]


def _take_pixel(node: Node) -> bool:
    """Takes the one pixel out of the tree, with formatting elements that the parser opened again for it alone."""
    for at, child in enumerate(node[2]):
        if child[0] == "img" and child[1].get("src") == PIXEL:
            del node[2][at]
            _join_texts(node[2])
            return True
        if _take_pixel(child):
            if not child[2] and child[0] in ("a", "b", "font", "i", "u", "strong", "em", "small", "code", "s", "tt"):
                del node[2][at]
                _join_texts(node[2])
            return True
    return False


def _join_texts(children: list[Node]) -> None:
    at = 1
    while at < len(children):
        if children[at - 1][0] == children[at][0] == "-text":
            children[at - 1][1] += children.pop(at)[1]
        else:
            at += 1


def _compare(before: Node, after: Node, tracked: Tracked) -> None:
    assert before[0] == after[0]
    assert len(before[2]) == len(after[2]), (before, after)
    if before[0] == "a":
        _compare_anchors(before[1], after[1], tracked)
    else:
        assert before[1] == after[1]
    for one, other in zip(before[2], after[2], strict=True):
        _compare(one, other, tracked)


def _compare_anchors(before: dict[str, Any], after: dict[str, Any], tracked: Tracked) -> None:
    href = before.get("href") or ""
    found = after.get("href") or ""
    others = {name: value for name, value in before.items() if name != "href"}
    if tracked.clicks:
        others = {name: value for name, value in others.items() if name not in _REMOVED}
    assert others == {name: value for name, value in after.items() if name != "href"}
    if tracked.clicks and "ses:no-track" not in before and is_trackable(href):
        if not found.startswith(LINK):
            assert len(tracked.targets) == tracking.MAX_LINKS
            return
        target = tracked.targets[int(found.removeprefix(LINK)) - 1]
        assert target.url == href.strip("\t\n\f\r ")
    else:
        assert found == href


def is_trackable(href: str) -> bool:
    url = href.strip("\t\n\f\r ")
    if len(url) > tracking.MAX_TARGET or not _URI.match(url) or url.count("#") > 1:
        return False
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return (
        parts.scheme in ("http", "https") and bool(re.match(r"[^:]+(:[0-9]*)?\Z", host)) and parts.netloc.count("@") < 2
    )
