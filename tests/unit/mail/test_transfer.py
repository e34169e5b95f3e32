"""Content-Transfer-Encoding."""

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail import transfer

LINES = st.lists(st.text(st.sampled_from("ab .=\tFéß日\0"), max_size=120), max_size=8).map("\r\n".join)


@given(LINES)
def test_every_text_comes_back_and_its_lines_fit(text: str) -> None:
    encoding, body = transfer.encode_body(text.encode())
    assert transfer.read_body(encoding, body) == text.encode()
    assert body.isascii()
    assert not transfer.has_long_line(body)
    assert b"\0" not in body
    if encoding != "7bit":
        assert max(map(len, body.split(b"\r\n"))) <= 76


@given(LINES)
def test_the_stdlib_reads_our_quoted_printable(text: str) -> None:
    body = transfer.write_quoted_printable(text.encode())
    assert quopri.decodestring(body) == text.encode()
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert not any(line.endswith((b" ", b"\t")) for line in body.split(b"\r\n"))


@pytest.mark.parametrize("data", [b"x" * 2000, b"x" * 200 + b" ", b"=" * 500, b"x" * 200 + b"\r\n" + b"y" * 200])
def test_soft_line_ends_are_crlf_also_in_text_without_a_newline(data: bytes) -> None:
    body = transfer.write_quoted_printable(data)
    assert b"=\r\n" in body
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert not body.endswith((b" ", b"\t"))
    assert transfer.read_body("quoted-printable", body) == data


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"plain", "7bit"),
        (b"x" * 998 + b"\r\n" + b"y" * 998, "7bit"),
        (b"x" * 999, "quoted-printable"),
        (b"ok\r\n" + b"x" * 999 + b"\r\n", "quoted-printable"),
        (b"nul \0 is not 7bit", "quoted-printable"),
        ("caf\u00e9 and more text".encode(), "quoted-printable"),
        ("日本語".encode(), "base64"),
    ],
)
def test_the_encoding_fits_the_text(data: bytes, encoding: str) -> None:
    assert transfer.encode_body(data)[0] == encoding


@given(st.lists(st.integers(0, 2100), min_size=1, max_size=6), st.booleans())
def test_long_lines_are_found_wherever_they_stand(lengths: list[int], ended: bool) -> None:
    data = b"\r\n".join(b"x" * length for length in lengths) + (b"\r\n" if ended else b"")
    assert transfer.has_long_line(data) == (max(lengths) > 998)


@given(st.binary(max_size=300))
def test_base64_of_the_stdlib_is_read(data: bytes) -> None:
    written = base64.encodebytes(data)
    assert transfer.read_base64(written) == data
    assert transfer.size_of("base64", written) == len(data)
    assert transfer.read_base64(transfer.write_base64(data)) == data


@pytest.mark.parametrize(
    ("data", "read"),
    [(b"aGk", b"hi"), (b"a-G k!=", b"hi"), (b"aGkx=====aGk", b"hi1"), (b"a", b""), (b"", b""), (b"====", b"")],
)
def test_broken_base64_gives_what_there_is(data: bytes, read: bytes) -> None:
    assert transfer.read_base64(data) == read
    assert transfer.size_of("BASE64 ", data) == len(read)


@given(st.binary(max_size=200))
def test_any_bytes_are_readable_in_any_encoding(data: bytes) -> None:
    for encoding in ("base64", "quoted-printable", "8bit", "x-unknown"):
        assert isinstance(transfer.read_body(encoding, data), bytes)
    assert transfer.size_of("quoted-printable", data) == len(transfer.read_body("quoted-printable", data))
