"""SendEmail's message."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.messages import Draft, Text
from posthouse.mail import charsets
from posthouse.mail.compose import compose, compose_message

MESSAGE_ID = "0100018f3b2c4d5e-1a2b3c4d-1111-2222-3333-444455556666-000000"


def draft(**given_: Any) -> Draft:
    defaults: dict[str, Any] = {
        "source": "Ann <ann@example.com>",
        "to": ("bob@example.org",),
        "subject": Text("Hello"),
        "text": Text("Hi\n"),
    }
    return Draft(**{**defaults, **given_})


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert not message.defects
    return message


def test_text_alone_is_a_plain_7bit_mail() -> None:
    assert compose(draft(), MESSAGE_ID) == (
        b"From: Ann <ann@example.com>\r\n"
        b"To: bob@example.org\r\n"
        b"Subject: Hello\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=UTF-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hi\r\n"
    )


def test_html_alone_is_text_html() -> None:
    message = read(compose(draft(text=None, html=Text("<p>é", "UTF-8")), MESSAGE_ID))
    assert message.get_content_type() == "text/html"
    assert message.get_content() == "<p>é"


def test_both_make_an_alternative_with_the_text_first_and_the_boundary_of_ses() -> None:
    raw = compose(draft(html=Text("<p>Hi")), MESSAGE_ID)
    message = read(raw)
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    boundary = message.get_boundary()
    assert boundary is not None
    assert boundary.startswith("----=_Part_")
    assert boundary.endswith(f".{0x018F3B2C4D5E}")


def test_the_same_draft_gives_the_same_bytes() -> None:
    both = draft(html=Text("<p>Hi"))
    assert compose(both, MESSAGE_ID) == compose(both, MESSAGE_ID)
    assert compose(both, MESSAGE_ID) != compose(both, "0100018f3b2c4d5f" + MESSAGE_ID[16:])


def test_a_boundary_never_occurs_in_a_part() -> None:
    boundary = read(compose(draft(html=Text("x")), MESSAGE_ID)).get_boundary()
    assert boundary is not None
    other = read(compose(draft(text=Text(f"--{boundary}--\n"), html=Text("x")), MESSAGE_ID))
    assert other.get_boundary() != boundary
    assert next(iter(other.iter_parts())).get_content().split() == [f"--{boundary}--"]


def test_bcc_is_in_no_header() -> None:
    assert b"secret@example.com" not in compose(draft(bcc=("secret@example.com",)), MESSAGE_ID)


def test_all_address_fields_are_written_in_order() -> None:
    message = compose_message(draft(cc=("c@d", "e@f"), reply_to=("g@h", "i@j")), MESSAGE_ID)
    assert [(field.name, field.value) for field in message.fields[:4]] == [
        ("From", "Ann <ann@example.com>"),
        ("Reply-To", "g@h, i@j"),
        ("To", "bob@example.org"),
        ("Cc", "c@d, e@f"),
    ]


@pytest.mark.parametrize("charset", ["UTF-8", "ISO-8859-1", "Shift_JIS", "utf-8 "])
def test_the_charset_of_the_caller_is_honoured(charset: str) -> None:
    text = "日本語" if charset == "Shift_JIS" else "né"
    message = read(compose(draft(subject=Text(text, charset), text=Text(text, charset)), MESSAGE_ID))
    assert message["Subject"] == text
    assert message.get_content().rstrip("\n") == text
    assert message.get_content_charset() == charset.strip().lower()


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": Text("日", "ISO-8859-1")},
        {"text": Text("é", "us-ascii")},
        {"html": Text("x", "rot13")},
        {"html": Text("x", "utf-16")},
        {"text": Text("x", "utf-8\r\nX: y")},
        {"subject": Text("x", "unicode_escape")},
        {"subject": Text("é", "us-ascii")},
        {"to": ("jörg@example.com",)},
    ],
)
def test_what_does_not_fit_its_charset_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(charsets.Unencodable):
        compose(draft(**wrong), MESSAGE_ID)


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "a\r\n\nb", "\n", "", "x\u2028y\x85z", "x\x0by"])
def test_only_cr_and_lf_are_newlines_and_all_become_crlf(text: str) -> None:
    body = compose_message(draft(text=Text(text, "UTF-8")), MESSAGE_ID).body
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert b"\r" not in body.replace(b"\r\n", b"")
    assert body.endswith(b"\r\n")


BODIES = st.text(st.sampled_from("ab =.\t\r\n-_é日F"), max_size=200)


@given(BODIES, BODIES)
def test_the_stdlib_finds_both_texts_unchanged(text: str, html: str) -> None:
    message = message_from_bytes(compose(draft(text=Text(text, "UTF-8"), html=Text(html, "UTF-8")), MESSAGE_ID))
    parts: Any = message.get_payload()
    found = [part.get_payload(decode=True).decode() for part in parts]
    assert found == [each.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n") for each in (text, html)]


HOSTILE = st.text(st.sampled_from('a\r\n\0\x0b\x85: <>@,"é'), max_size=60)


@given(HOSTILE, HOSTILE)
def test_no_value_adds_a_header(subject: str, name: str) -> None:
    raw = compose(draft(subject=Text(subject, "UTF-8"), source=f"{name} <a@b>", to=(f"{name}<c@d>",)), MESSAGE_ID)
    head = raw.split(b"\r\n\r\n")[0]
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    expected = [b"From", b"To", b"Subject", b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding"]
    assert names == expected
    assert b"\0" not in head


def test_fifty_recipients_and_a_long_subject_stay_within_lines() -> None:
    raw = compose(draft(to=tuple(f"r{n}@example.com" for n in range(50)), subject=Text("word " * 200)), MESSAGE_ID)
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert len(read(raw)["To"].addresses) == 50
