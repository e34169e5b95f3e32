"""The header section: where it ends, its fields, their values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail import headers


@pytest.mark.parametrize(
    ("raw", "head", "body", "newline"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nbody\r\n", b"A: 1\r\nB: 2\r\n", b"body\r\n", b"\r\n"),
        (b"A: 1\nB: 2\n\nbody\r\n\r\nmore", b"A: 1\nB: 2\n", b"body\r\n\r\nmore", b"\n"),
        (b"A: 1\r\n\r\nbody\n\nmore", b"A: 1\r\n", b"body\n\nmore", b"\r\n"),
        (b"\r\nbody", b"", b"body", b"\r\n"),
        (b"\nbody", b"", b"body", b"\n"),
        (b"A: 1\r\nB: 2", b"A: 1\r\nB: 2\r\n", b"", b"\r\n"),
        (b"A: 1\nB: 2", b"A: 1\nB: 2\n", b"", b"\n"),
        (b"", b"", b"", b"\r\n"),
        (b"A: 1\r\rB: 2\r\n\r\nx", b"A: 1\r\rB: 2\r\n", b"x", b"\r\n"),
    ],
)
def test_the_first_empty_line_ends_the_header_section(raw: bytes, head: bytes, body: bytes, newline: bytes) -> None:
    assert headers.split(raw) == (head, body, newline)


def test_a_folded_field_is_one_field_and_its_value_is_one_line() -> None:
    (field,) = headers.fields(b"Subject: one\r\n two\r\n\tthree\r\n")
    assert field.key == b"subject"
    assert field.name == "Subject"
    assert field.value == "one two\tthree"


def test_fields_joined_are_the_header_section_again() -> None:
    head = b"A: 1\r\n\tx\r\nno colon\r\n: empty\r\nB : 2\r\nC:\r\n"
    assert b"".join(field.raw for field in headers.fields(head)) == head
    assert [field.key for field in headers.fields(head)] == [b"a", b"", b"", b"b", b"c"]


@given(
    st.lists(st.sampled_from([b"A: 1", b" ", b"\t", b"\r", b"\n", b"\r\n", b":", b"x", b"\xff", b"\0"]), max_size=40)
)
def test_no_byte_of_a_message_is_lost(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    head, body, newline = headers.split(raw)
    assert b"".join(field.raw for field in headers.fields(head)) == head
    assert raw in (head + newline + body, head + body, (head + body)[: -len(newline)], newline + body)


@pytest.mark.parametrize("piece", [b"x", b"x:", b" ", b"\r", b"\n", b"A: 1\n", b"A: 1\n ", b"\n "])
def test_a_hostile_header_section_takes_linear_time(piece: bytes) -> None:
    head = piece * 500_000
    assert b"".join(field.raw for field in headers.fields(head)) == head
    assert headers.split(head).newline


def test_a_field_limit_cuts_and_does_not_read_on() -> None:
    assert len(headers.fields(b"A: 1\r\n" * 100_000, 50)) == 50


def test_bytes_beyond_ascii_are_read_as_utf8_or_else_latin1() -> None:
    assert headers.fields("Subject: é\r\n".encode())[0].value == "é"
    assert headers.fields("Subject: é\r\n".encode("iso-8859-1"))[0].value == "é"


def test_a_value_has_neither_line_ends_nor_nul() -> None:
    assert headers.fields(b"Subject: a\0b\r\n c\rd\r\n")[0].value == "ab cd"


def test_text_is_the_decoded_value() -> None:
    assert headers.texts(headers.fields(b"SUBJECT: =?UTF-8?Q?h=C3=A9?=\r\n")) == [("SUBJECT", "hé")]


@given(st.text(max_size=300))
def test_a_written_field_is_one_field(value: str) -> None:
    raw = headers.field("Subject", value.encode("utf-8", "ignore").decode()).raw
    assert len(headers.fields(raw)) == 1
    assert headers.split(raw + b"\r\nbody").head == raw
    assert b"\0" not in raw
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert all(line[:1] in (b" ", b"\t") and line.strip() for line in raw.split(b"\r\n")[1:-1])
