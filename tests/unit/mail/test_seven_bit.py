"""Messages made fit for servers that take seven bits only, or lines no longer than SMTP's."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mail import headers, transfer
from posthouse.mail.seven_bit import fit_for_smtp, to_seven_bit

SIGNED = b'Content-Type: multipart/signed; boundary="s"; protocol="application/pgp-signature"; micalg=pgp-sha256\r\n'


def seven(raw: bytes) -> bytes | None:
    converted = to_seven_bit(headers.read(raw))
    return None if converted is None else converted.to_bytes()


def must(raw: bytes) -> bytes:
    converted = seven(raw)
    assert converted is not None
    assert converted.isascii()
    return converted


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def shown(raw: bytes) -> Any:
    """What an independent reader makes of it: types and contents of all leaves, in order, nested messages too."""

    def of(part: Any) -> Any:
        kind = part.get_content_type()
        if kind == "message/rfc822":
            return kind, of(part.get_payload(0))
        if part.is_multipart():
            return kind, [of(each) for each in part.iter_parts()]
        return kind, part.get_param("charset"), part.get_payload(decode=True).removesuffix(b"\r\n")

    return of(parsed(raw))


def test_what_fits_stays_byte_for_byte() -> None:
    raw = b"From: a@b\r\nSubject:  odd \r\n\tfold\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--x\r\nbody"
    assert seven(raw) == raw
    assert fit_for_smtp(headers.read(raw)).to_bytes() == raw


@pytest.mark.parametrize(
    "label",
    [
        b"",
        b"Content-Transfer-Encoding: 8bit\r\n",
        b"content-transfer-encoding: BINARY\r\nContent-Transfer-Encoding: 8bit\r\n",
    ],
)
def test_text_becomes_quoted_printable_and_is_labelled_once(label: bytes) -> None:
    text = b"Gr\xc3\xbc\xc3\x9fe, und noch etwas mehr Text\r\n"
    raw = b"From: a@b\r\n" + label + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text
    converted = must(raw)
    assert converted.lower().count(b"content-transfer-encoding") == 1
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in converted
    assert parsed(converted).get_payload(decode=True) == text


def test_dense_text_and_binary_become_base64() -> None:
    text = "Γειά σου Κόσμε\r\n".encode()
    assert b"Content-Transfer-Encoding: base64" in must(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text)
    raw = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89PNG\xff"
    assert parsed(must(raw)).get_content() == b"\x89PNG\xff"


def test_structure_boundaries_and_parts_that_fit_stay() -> None:
    inner = b"Subject: inn\xc3\xa9\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9t\xe9"
    raw = (
        b'Content-Type: multipart/mixed; boundary="b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\npr\xc3\xa9ambule\r\n'
        b"--b\r\nX-Fits:  as is \r\n\r\nascii\r\n"
        b'--b \r\nContent-Type: multipart/alternative; boundary="c"\r\n\r\n'
        b"--c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9\r\n\r\n--c\r\n\r\nplain\r\n--c--\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner + b"\r\n--b--\r\n"
    )
    converted = must(raw)
    assert shown(converted) == shown(raw)
    assert b"--b\r\nX-Fits:  as is \r\n\r\nascii\r\n--b \r\n" in converted
    assert b"8bit" not in converted
    assert b"pr??ambule" in converted
    assert parsed(parsed(converted).get_payload(2).get_payload(0).as_bytes())["Subject"] == "inné"  # type: ignore[union-attr]


def test_what_is_signed_as_a_whole_is_not_touched() -> None:
    part = b"--s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9\r\n--s\r\n\r\nsig\r\n--s--\r\n"
    assert seven(SIGNED + b"\r\n" + part) is None
    assert seven(b"Subject: \xc3\xa9\r\n" + SIGNED + b"\r\n" + part.replace(b"\xc3\xa9", b"e")) is not None
    long = SIGNED + b"\r\n" + part.replace(b"\xc3\xa9", b"x" * 2000)
    assert fit_for_smtp(headers.read(long)).to_bytes() == long


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: multipart/mixed\r\n\r\n\xc3\xa9",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n\xc3\xa9",
        b"Content-Type: message/partial; id=x; number=1\r\n\r\n\xc3\xa9",
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\n\xc3\xa9",
        b"From: \xc3\xa9@b.example\r\n\r\n",
        b"From: A <a@\xc3\xa9.example>\r\n\r\n",
        b'From: "unclosed \xc3\xa9\r\n\r\n',
    ],
)
def test_what_cannot_be_converted_is_said_to_be_so(raw: bytes) -> None:
    assert seven(raw) is None


def test_depth_has_an_end() -> None:
    raw = b"\xc3\xa9"
    for number in range(40):
        raw = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%b\r\n--b%d--" % (
            number,
            number,
            raw,
            number,
        )
    assert seven(raw) is None


@pytest.mark.parametrize(
    ("raw", "name", "value"),
    [
        ("Subject: Grüße =?utf-8?q?f=C3=BCr?= alle", "Subject", "Grüße für alle"),
        ("X-Note: naïve", "X-Note", "naïve"),
        ("To: Bärbel <b@example.org>, c@d.example", "To", "Bärbel <b@example.org>, c@d.example"),
        ('To: "Bär, bel" <b@example.org>', "To", '"Bär, bel" <b@example.org>'),
        ("Cc: Überteam: Ä <a@b.example>, c@d.example;", "Cc", "Überteam: Ä <a@b.example>, c@d.example;"),
        ("From: a@b.example (Zoë)", "From", "a@b.example"),
    ],
)
def test_header_values_are_read_as_before(raw: str, name: str, value: str) -> None:
    converted = must(raw.encode() + b"\r\n\r\n")
    assert parsed(converted)[name] == value


def test_names_of_files_are_read_as_before() -> None:
    raw = (
        'Content-Type: application/pdf; name="Übersicht \\"1\\".pdf"; x=y\r\n'
        "Content-Disposition: attachment; filename=Ü.pdf; size=3\r\n\r\nabc".encode()
    )
    converted = must(raw)
    assert b"; size=3" in converted.replace(b"\r\n", b"")
    mail = parsed(converted)
    assert mail.get_filename() == "Ü.pdf"
    assert mail["Content-Type"].params["name"] == 'Übersicht "1".pdf'


def test_what_has_no_place_for_encoded_words_loses_what_nobody_could_read() -> None:
    assert (
        must(b"Message-ID: <\xe9@x>\r\nN\xc3\xa9: v\r\n\xc3\xa9\r\n\r\n")
        == b"Message-ID: <?@x>\r\nN??: v\r\n??\r\n\r\n"
    )


def test_long_lines_are_folded_in_headers_and_encoded_in_bodies() -> None:
    to = ", ".join(f"someone{number}@example.org" for number in range(60))
    raw = f"From: a@b\r\nTo: {to}\r\nContent-Type: text/html\r\n\r\n<p>{'x ' * 900}</p>\r\nshort\r\n".encode()
    short = fit_for_smtp(headers.read(raw)).to_bytes()
    assert not transfer.has_long_line(short)
    assert parsed(short)["To"] == to
    assert parsed(short).get_payload(decode=True) == parsed(raw).get_payload(decode=True)
    assert fit_for_smtp(headers.read(short)).to_bytes() == short


def test_nul_is_encoded_away() -> None:
    raw = b"Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b\xff"
    fit = fit_for_smtp(headers.read(raw)).to_bytes()
    assert b"\0" not in fit
    assert parsed(fit).get_payload(decode=True) == b"a\0b\xff"


def test_only_the_part_with_the_long_line_is_encoded() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa9\r\n"
        b"--b\r\n\r\n" + b"y" * 1500 + b"\r\n--b--\r\n"
    )
    short = fit_for_smtp(headers.read(raw)).to_bytes()
    assert b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa9\r\n--b\r\n" in short
    assert not transfer.has_long_line(short)
    assert shown(short) == shown(raw)


TEXT = st.lists(st.text(st.sampled_from("ab -=.é日\t"), max_size=30), max_size=4).map("\r\n".join)


def leaf(text: str, charset: str) -> bytes:
    return f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + text.encode(charset, "replace")


LEAVES = st.builds(leaf, TEXT, st.sampled_from(["utf-8", "iso-8859-1", "shift_jis"]))


def many(parts: list[bytes], number: int) -> bytes:
    mark = b"--=_%d" % number
    head = b'Content-Type: multipart/mixed; boundary="=_%d"\r\n\r\n' % number
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--"


TREES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.builds(many, st.lists(parts, min_size=1, max_size=3), st.integers(0, 10**12)),
        st.builds(lambda raw: b"Content-Type: message/rfc822\r\n\r\n" + raw, parts),
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(TREES)
def test_every_message_reads_the_same_in_seven_bits(raw: bytes) -> None:
    converted = must(raw)
    assert shown(converted) == shown(raw)
    assert must(converted) == converted
