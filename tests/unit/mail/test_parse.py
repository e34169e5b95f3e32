"""Mails as people look at them, compared with what the stdlib makes of them."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mail import mime, parse

MIXED = (
    b"From: =?utf-8?q?J=C3=B6rg?= <a@b>\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n"
    b'preamble\r\n--out\r\nContent-Type: multipart/alternative; boundary="in ner"\r\n\r\n'
    b"--in ner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    b"\r\nh=C3=A9=\r\n!\r\n"
    b"--in ner  \r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p>h\xe9\r\n--in ner--\r\nepilogue\r\n"
    b"--out\r\nContent-Type: image/png\r\nContent-ID: <pic@x>\r\nContent-Disposition: inline\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\naGk=\r\n"
    b'--out\r\nContent-Type: text/plain; name="=?utf-8?q?=C3=A9?=.txt"\r\nContent-Disposition: attachment\r\n'
    b"\r\nfile\r\n\r\n"
    b"--out\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nbody\r\n--out--\r\nepilogue\r\n"
)


def test_texts_and_attachments_are_told_apart() -> None:
    mail = parse.read(MIXED)
    assert mail.complete
    assert mail.header("FROM") == "Jörg <a@b>"
    assert (mail.text, mail.html) == ("hé!", "<p>hé")
    assert [
        (each.path, each.name, each.content_type, each.size, each.content_id, each.inline) for each in mail.attachments
    ] == [
        ("2", "", "image/png", 2, "pic@x", True),
        ("3", "é.txt", "text/plain", 6, "", False),
        ("4", "", "message/rfc822", 22, "", False),
    ]
    assert parse.part(MIXED, "2") == b"hi"
    assert parse.part(MIXED, "3") == b"file\r\n"
    assert parse.part(MIXED, "4") == b"Subject: inner\r\n\r\nbody"
    assert parse.part(MIXED, "1.1") == "hé!".encode()
    assert parse.part(MIXED, "1") is None
    assert parse.part(MIXED, "9.9") is None


def test_bare_lf_mail_is_read_the_same() -> None:
    crlf, lf = parse.read(MIXED), parse.read(MIXED.replace(b"\r\n", b"\n"))
    assert (lf.headers, lf.text, lf.html) == (crlf.headers, crlf.text, crlf.html)
    assert [each.path for each in lf.attachments] == [each.path for each in crlf.attachments]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Subject: x\r\n\r\nplain\r\n", "plain\r\n"),
        (b"Subject: x\r\n\r\n\xc3\xa9", "é"),
        (b"Content-Type: text/plain; charset=zip\r\n\r\n\xe9", "é"),
        (b"Content-Type: text/plain; charset=utf-16le\r\n\r\na\0b\0", "ab"),
        (b"Content-Type: nonsense\r\n\r\nx", "x"),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed", "never closed"),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nno header here\r\n--x--", "no header here"),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--xy\r\n\r\nno\r\n--x\r\n\r\nyes\r\n--x--", "yes"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n!!aG\xffk-", "hi"),
        (b"", ""),
    ],
)
def test_texts_of_odd_mail(raw: bytes, text: str) -> None:
    assert parse.read(raw).text == text


def test_a_multipart_without_parts_is_an_attachment() -> None:
    mail = parse.read(b"Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing")
    assert mail.text is None
    assert [(each.path, each.content_type, each.size) for each in mail.attachments] == [("1", "multipart/mixed", 7)]


def test_parts_of_a_digest_are_messages() -> None:
    raw = b"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: inner\r\n\r\nbody\r\n--x--\r\n"
    assert [each.content_type for each in parse.read(raw).attachments] == ["message/rfc822"]


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        ('text/plain; charset="utf-8"; format=flowed', {"charset": "utf-8", "format": "flowed"}),
        ("text/plain;charset = utf-8 ;; =x; y; name=a b ", {"charset": "utf-8", "name": "a b"}),
        ('a/b; name="a;\\"b\\\\"; x=1', {"name": 'a;"b\\', "x": "1"}),
        ("a/b; name*=utf-8''%e2%82%ac%20x", {"name": "€ x"}),
        ("a/b; name*0*=iso-8859-1''%e9; name*1=\"-%41\"; name*2*=%42", {"name": "é-%41B"}),
        ("a/b; name*1=x; name=plain", {"name": "plain"}),
        ("a/b; name=plain; name*=utf-8''star", {"name": "star"}),
        ("a/b; name*=zip''%e9", {"name": "é"}),
        ("a/b; name=first; NAME=second", {"name": "first"}),
        ('a/b; name="never closed', {"name": "never closed"}),
        ('a/b; name="=?utf-8?q?=C3=A9?="', {"name": "é"}),
        ("a/b; ; ; ;", {}),
        ("", {}),
    ],
)
def test_parameters(value: str, parameters: dict[str, str]) -> None:
    assert mime.read_parameters(value)[1] == parameters


TEXTS = st.text(st.sampled_from("ab é日=.-\n"), max_size=80)
FILES = st.tuples(st.binary(max_size=100), st.text(st.sampled_from("abé日 ;'\"\\.*%="), min_size=1, max_size=60))


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.none() | TEXTS, st.lists(FILES, max_size=3), TEXTS.map(lambda text: text.replace("\n", " ")))
def test_mail_that_the_stdlib_writes_is_read_as_it_was_meant(
    text: str, html: str | None, files: list[tuple[bytes, str]], subject: str
) -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = subject
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    for data, name in files:
        message.add_attachment(data, maintype="application", subtype="x-file", filename=name)
    raw = message.as_bytes()
    mail = parse.read(raw)
    again: Any = message_from_bytes(raw, policy=policy.default)
    assert (mail.text or "").replace("\r\n", "\n").rstrip("\n") == text.rstrip("\n")
    assert html is None or (mail.html or "").replace("\r\n", "\n").rstrip("\n") == html.rstrip("\n")
    # Not get_filename: it takes quotes that belong to the name for quotes around it.
    named = [part["Content-Disposition"].params["filename"].strip() for part in again.iter_attachments()]
    assert [each.name for each in mail.attachments] == named == [name.strip() for _, name in files]
    assert [parse.part(raw, each.path) for each in mail.attachments] == [data for data, _ in files]
    assert [each.size for each in mail.attachments] == [len(data) for data, _ in files]
    # Without blanks: where it folds between two encoded words the library loses one.
    assert "".join((mail.header("subject") or "").split()) == "".join(subject.split())


def nested(depth: int) -> bytes:
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    return head + b"Content-Type: text/plain\r\n\r\ndeep"


HOSTILE = [
    b"X: y\r\n" * 100_000 + b"\r\nbody",
    b"X: " + b"y" * 5_000_000,
    b"Subject: " + b"=?utf-8?q?x?= " * 100_000 + b"\r\n\r\n",
    nested(2000),
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 300_000,
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"\n--bx" * 500_000,
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"\n--b\r\n" + b"A: b\r\n" * 500_000,
    b"Content-Type: multipart/mixed; boundary=" + b"b" * 100_000 + b"\r\n\r\n" + b"\n--" + b"b" * 3_000_000,
    b"Content-Type: multipart/mixed;" + b" boundary=x;" * 100_000 + b"\r\n\r\n--x\r\n\r\ny",
    b"Content-Type: text/plain;" + b" n*%d=x;" * 50_000 + b"\r\n\r\n",
    b'Content-Type: text/plain; name="' + b"\\" * 500_000 + b"\r\n\r\n",
    b"Content-Type: text/plain" + b" " * 1_000_000 + b";\r\n\r\n",
    b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 5_000_000,
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r" * 2_000_000,
    b"\0" * 1_000_000,
    b"\n" * 1_000_000,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_mail_is_read_within_bounds(number: int) -> None:
    raw = HOSTILE[number]
    mail = parse.read(raw)
    assert len(mail.headers) <= parse.MAX_FIELDS
    assert len(mail.attachments) <= mime.MAX_PARTS
    assert len(mail.text or "") <= parse.MAX_TEXT
    assert parse.part(raw, "1.1.1.1") is None or number == 3


@pytest.mark.parametrize(
    ("subtype", "encoding", "piece"),
    [
        ("plain", "7bit", b"x"),
        ("html", "7bit", b"x"),
        ("plain", "quoted-printable", b"=78"),
        ("plain", "base64", b"eHh4"),
    ],
)
def test_a_text_is_shown_up_to_its_bound_and_a_cut_is_told(subtype: str, encoding: str, piece: bytes) -> None:
    head = f"Content-Type: text/{subtype}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    letters = 3 if encoding == "base64" else 1
    fits, cut = (
        parse.read(head + piece * count) for count in (parse.MAX_TEXT // letters, parse.MAX_TEXT // letters + 1)
    )
    assert fits.complete
    assert not cut.complete
    shown = cut.text if subtype == "plain" else cut.html
    assert shown == "x" * parse.MAX_TEXT


@pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 6])
def test_what_was_left_out_is_told(number: int) -> None:
    assert not parse.read(HOSTILE[number]).complete
