"""Whether mail may be answered with a bounce at all.

Source: RFC 3834 section 2 and RFC 5321 sections 4.5.5 and 6.3: nothing is sent to the null path, to what a machine
wrote, or to a mailing list; and mail that has gone round for long is left alone.
"""

from collections.abc import Sequence

from posthouse.mail.auto_reply import is_automatic
from posthouse.mail.headers import Field, fields, split

MAX_HOPS = 50
"""Received fields; honest ways have a dozen at most, and others take 100 for a loop (RFC 5321 section 6.3)."""
_MAX_HEAD = 256 * 1024
_MAX_FIELDS = 2000
_LIST_FIELDS = frozenset({b"list-id", b"list-post"})


def why_not_bounced(source: str, content: bytes) -> str:
    """Empty where it may be; `source`: the envelope sender."""
    if not source:
        return "it has no envelope sender"
    found = fields(split(content).head[:_MAX_HEAD], _MAX_FIELDS)
    if sum(field.key == b"received" for field in found) > MAX_HOPS:
        return f"it has come over more than {MAX_HOPS} servers: it is going round"
    if is_automatic(found):
        return "a machine wrote it"
    if _is_of_a_list(found):
        return "it is of a mailing list"
    return ""


def _is_of_a_list(found: Sequence[Field]) -> bool:
    precedence = {field.value[:200].strip().lower() for field in found if field.key == b"precedence"}
    return "list" in precedence or any(field.key in _LIST_FIELDS for field in found)
