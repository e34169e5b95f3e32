"""The way out of a list in the mail itself."""

import base64
import email
import quopri

from posthouse.mail.headers import read
from posthouse.mail.unsubscribe import with_way_out

URL = "https://mail.example.org/u/Abc-_123"
HOLDER = b"{{amazonSESUnsubscribeUrl}}"


def made(raw: bytes) -> bytes:
    return with_way_out(read(raw), URL).to_bytes()


def test_a_mail_gets_both_fields() -> None:
    raw = b"Subject: x\r\nContent-Type: text/plain\r\n\r\nHi\r\n"
    head, body = made(raw).split(b"\r\n\r\n", 1)
    assert head.split(b"\r\n")[2:] == [
        b"List-Unsubscribe: <https://mail.example.org/u/Abc-_123>",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ]
    assert body == b"Hi\r\n"


def test_what_the_caller_wrote_stays() -> None:
    for own in (b"List-Unsubscribe: <mailto:out@x.example>\r\n", b"List-unsubscribe-post: x\r\n"):
        raw = own + b"Content-Type: text/plain\r\n\r\n" + HOLDER
        assert made(raw) == own + b"Content-Type: text/plain\r\n\r\n" + URL.encode()


def test_the_placeholder_is_replaced_in_texts_however_they_are_encoded() -> None:
    html = b"<p>\xc3\xa4</p><a href=" + b'"' + HOLDER + b'"' + b">out</a> or " + HOLDER
    plain = b"Out: " + HOLDER + b" ok"
    parts = [
        (b"text/plain", b"7bit", plain),
        (b"text/html", b"base64", base64.encodebytes(html).replace(b"\n", b"\r\n")),
        (b"text/html", b"quoted-printable", quopri.encodestring(html)),
    ]
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    for kind, encoding, content in parts:
        raw += b"--b\r\nContent-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b\r\n" % (kind, encoding, content)
    raw += b"--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\n" + HOLDER + b"\r\n--b--\r\n"
    got = [
        part.get_payload(decode=True) for part in email.message_from_bytes(made(raw)).walk() if not part.is_multipart()
    ]
    link = URL.encode()
    assert isinstance(got[2], bytes)
    assert got[0] == plain.replace(HOLDER, link)
    assert got[1] == html.replace(HOLDER, link)
    assert got[2].strip() == html.replace(HOLDER, link)
    assert got[3] == HOLDER, "an attachment is none of ours"


def test_signed_parts_are_left_alone() -> None:
    inner = b"Content-Type: text/plain\r\n\r\n" + HOLDER + b"\r\n"
    raw = (
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" + inner + b"--b\r\n"
        b"Content-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n"
    )
    assert HOLDER in made(raw)
    assert b"List-Unsubscribe-Post" in made(raw)
