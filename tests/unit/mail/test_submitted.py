"""The facts of a raw message, and SES's words for what is wrong with it."""

import pytest

from posthouse.mail.mailboxes import Mailbox
from posthouse.mail.submitted import MAX_HEAD, is_refused_file, read_submission, read_tags, refusal

GOOD = b"From: Ann <a@b>\r\nTo: c@d\r\nSubject: x\r\n"


def test_the_facts_of_an_ordinary_mail() -> None:
    mail = read_submission(
        b"From: Ann <a@b>\r\nSender: s@t\r\nReturn-Path: <r@p>\r\nReply-To: q@r\r\nTo: c@d,\r\n e@f\r\nto: g@h\r\n"
        b"Cc: team: i@j;\r\nBcc: k@l\r\nSubject: =?utf-8?q?h=C3=A9?=\r\nMessage-ID: <mine@x>\r\n"
        b"X-SES-CONFIGURATION-SET: set\r\nX-SES-Configuration-Set: second\r\nX-SES-MESSAGE-TAGS: n1=v1, n2=v2\r\n"
        b"X-SES-SOURCE-ARN: arn1\r\nX-SES-FROM-ARN: arn2\r\nX-SES-RETURN-PATH-ARN: arn3\r\nX-SES-TENANT: t\r\n"
        b"X-SES-LIST-MANAGEMENT-OPTIONS: list; topic=x\r\n\r\nbody\r\n"
    )
    assert refusal(mail) is None
    assert (mail.from_, mail.from_fields) == ([Mailbox("Ann", "a@b")], 1)
    assert [mail.sender[0].address, mail.return_path[0].address, mail.reply_to[0].address] == ["s@t", "r@p", "q@r"]
    assert [each.address for each in (*mail.to, *mail.cc, *mail.bcc)] == ["c@d", "e@f", "g@h", "i@j", "k@l"]
    assert (mail.subject, mail.message_id) == ("hé", "<mine@x>")
    assert mail.configuration_set == "set"
    assert read_tags(mail.message_tags or "") == [("n1", "v1"), ("n2", "v2")]
    assert (mail.source_arn, mail.from_arn, mail.return_path_arn) == ("arn1", "arn2", "arn3")
    assert (mail.list_management_options, mail.tenant) == ("list; topic=x", "t")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (GOOD + b"\r\nx", None),
        (b"To: c@d\r\n\r\nx", "Missing required header 'From'."),
        (b"", "Missing required header 'From'."),
        (b"From: \r\n\r\nx", "Missing required header 'From'."),
        (GOOD + b"subject: y\r\n\r\nx", "Duplicate header 'Subject'."),
        (GOOD + b"from: y@z\r\n\r\nx", "Duplicate header 'From'."),
        (GOOD + b"Content-Type: a/b\r\nCONTENT-TYPE: a/b\r\n\r\nx", "Duplicate header 'Content-Type'."),
        (
            GOOD + b"List-Unsubscribe-Post: a\r\nList-Unsubscribe-Post: b\r\n\r\nx",
            "Duplicate header 'List-Unsubscribe-Post'.",
        ),
        (GOOD + b"To: y@z\r\nReceived: a\r\nReceived: b\r\nX-SES-SOURCE-ARN: a\r\nX-SES-SOURCE-ARN: b\r\n\r\nx", None),
        (GOOD + b": x\r\n\r\nx", "Empty header names are illegal."),
        (GOOD + b"no colon here\r\n\r\nx", "Illegal header 'no colon here'."),
        (GOOD + b"Bad Name: x\r\n\r\nx", "Illegal header 'Bad Name'."),
        (b" From: a@b\r\n\r\nx", "Illegal header 'From'."),
        (b"From : a@b\r\n\r\nx", "Illegal header 'From'."),
        (GOOD + b"N\xc3\xa9\0: x\r\n\r\nx", "Illegal header 'NÃ©?'."),
        (b"From: a@b, c@d\r\nTo: e@f\r\n\r\nx", "Only one address is allowed in header 'From'."),
        (GOOD + b"X: " + b"y" * MAX_HEAD + b"\r\n\r\nx", "Header section too long."),
        (GOOD + b"X: y\r\n" * 3000 + b"\r\nx", "Header section too long."),
        (GOOD + b'Content-Type: application/x; name="a.EXE"\r\n\r\nx', "Illegal filename"),
        (GOOD + b"Content-Disposition: attachment;\r\n filename*=utf-8''a%2Ebat\r\n\r\nx", "Illegal filename"),
        (GOOD + b"Content-Disposition: attachment; filename*0=a.e; filename*1=xe\r\n\r\nx", "Illegal filename"),
        (GOOD + b"Content-Disposition: attachment; filename=a.txt; name=x\r\n\r\nx", None),
    ],
)
def test_refusals(raw: bytes, text: str | None) -> None:
    assert refusal(read_submission(raw)) == text


def nested(inner: bytes, depth: int) -> bytes:
    for level in range(depth):
        inner = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%b\r\n--b%d--\r\n" % (
            level,
            level,
            inner,
            level,
        )
    return GOOD + inner


EXE = b"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=x.scr\r\n\r\nMZ"


def test_a_refused_attachment_is_found_inside_parts_and_inside_forwarded_mail() -> None:
    assert refusal(read_submission(nested(EXE, 5))) == "Illegal filename"
    forwarded = b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n" + EXE
    assert refusal(read_submission(nested(forwarded, 2))) == "Illegal filename"


def test_parts_too_deep_or_too_many_to_look_at_are_refused() -> None:
    assert refusal(read_submission(nested(EXE, 40))) == "Too many MIME parts."
    many = GOOD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 600
    assert refusal(read_submission(many)) == "Too many MIME parts."


def test_bare_newlines_are_read_as_what_leaves() -> None:
    mail = read_submission(b"From: a@b\nX: y\rTo: c@d\n\nbody\n")
    assert mail.raw == b"From: a@b\r\nX: y\r\nTo: c@d\r\n\r\nbody\r\n"
    assert mail.to == [Mailbox("", "c@d")]


@pytest.mark.parametrize(
    ("headers", "present"),
    [(b"To: undisclosed-recipients:;", True), (b"CC: a@b", True), (b"bcc:", True), (b"Resent-To: a@b", False)],
)
def test_whether_recipients_stand_in_headers_at_all(headers: bytes, present: bool) -> None:
    mail = read_submission(b"From: a@b\r\n" + headers + b"\r\n\r\n")
    assert mail.has_recipient_header is present


@pytest.mark.parametrize(
    "disposition",
    [
        b"filename=safe.txt; filename*=utf-8''evil.exe",
        b"filename=evil.exe; filename*=utf-8''safe.txt",
        b"filename=safe.txt; filename=evil.exe",
        b"filename=evil.exe (harmless)",
        b"filename=evil.exe harmless.txt",
        b"filename*1=exe; filename*0=evil.",
        b'filename="=?utf-8?q?evil=2Eexe?="',
    ],
)
def test_a_name_is_refused_however_a_reader_may_read_it(disposition: bytes) -> None:
    assert refusal(read_submission(GOOD + b"Content-Disposition: attachment; " + disposition + b"\r\n\r\n")) == (
        "Illegal filename"
    )


@pytest.mark.parametrize("name", [b'"my file (1).pdf"', b"my file.exe.pdf", b"a(b).txt", b"\x0b", b"\xc2\x85", b"("])
def test_a_name_that_is_only_odd_is_taken(name: bytes) -> None:
    assert refusal(read_submission(GOOD + b"Content-Disposition: attachment; filename=" + name + b"\r\n\r\n")) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"text/plain; charset", "Expected '=', got 'null'"),
        (b"text/plain; format=flowed;\r\n charset ", "Expected '=', got 'null'"),
        (b"text/plain;", None),
        (b"text/plain; charset=utf-8;", None),
        (b'text/plain; name="a; b"', None),
        (b"text/plain; charset=us-ascii (plain; or so)", None),
        (b"text/plain", None),
    ],
)
def test_a_parameter_without_a_value_is_what_ses_stumbles_over(value: bytes, text: str | None) -> None:
    assert refusal(read_submission(GOOD + b"Content-Type: " + value + b"\r\n\r\n")) == text


def test_nul_in_a_header_is_refused_and_in_a_body_is_not() -> None:
    assert refusal(read_submission(GOOD + b"X: a\0b\r\n\r\nx")) == "Illegal header 'X'."
    assert refusal(read_submission(GOOD + b"\r\na\0b")) is None


@pytest.mark.parametrize("name", ["a.exe", "A.Exe", "x.tar.js", "a.exe. .", " a.vbs ", "a.ps1xml", ".reg"])
def test_names_that_ses_refuses(name: str) -> None:
    assert is_refused_file(name)


@pytest.mark.parametrize("name", ["a.pdf", "exe", "a.exe.txt", "a.json", "a.", "", "a.zip"])
def test_names_that_ses_takes(name: str) -> None:
    assert not is_refused_file(name)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("a=b", [("a", "b")]),
        ("a=b,c=d=e , f", [("a", "b"), ("c", "d=e"), ("f", "")]),
        ("", []),
        (" , ", []),
        ("=v", [("", "v")]),
    ],
)
def test_tags_are_split_and_not_judged(value: str, tags: list[tuple[str, str]]) -> None:
    assert read_tags(value) == tags
