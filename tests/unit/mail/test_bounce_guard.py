"""What is never answered with a bounce."""

import pytest

from posthouse.mail.bounce_guard import MAX_HOPS, why_not_bounced

PERSON = b"From: a@b.example\r\nSubject: hi\r\nList-Unsubscribe: <mailto:u@b.example>\r\n\r\nhi\r\n"


def test_a_persons_mail_may_be_bounced() -> None:
    assert why_not_bounced("a@b.example", PERSON) == ""
    assert why_not_bounced("a@b.example", b"Auto-Submitted: no\r\nPrecedence: first-class\r\n" + PERSON) == ""
    assert why_not_bounced("a@b.example", b"Received: by x\r\n" * MAX_HOPS + PERSON) == ""
    assert why_not_bounced("a@b.example", b"") == ""


@pytest.mark.parametrize(
    ("source", "fields", "reason"),
    [
        ("", b"", "envelope sender"),
        ("a@b.example", b"Auto-Submitted: auto-replied\r\n", "machine"),
        ("a@b.example", b"Auto-Submitted: auto-generated (rejected)\r\n", "machine"),
        ("a@b.example", b"Precedence: bulk\r\n", "machine"),
        ("a@b.example", b"Precedence: list\r\n", "list"),
        ("a@b.example", b"List-Id: <l.b.example>\r\n", "list"),
        ("a@b.example", b"list-post: <mailto:l@b.example>\r\n", "list"),
        ("a@b.example", b"Received: by x\r\n" * (MAX_HOPS + 1), "round"),
    ],
)
def test_what_is_never_bounced(source: str, fields: bytes, reason: str) -> None:
    assert reason in why_not_bounced(source, fields + PERSON)
