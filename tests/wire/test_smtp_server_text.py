"""Paths and parameters of MAIL and RCPT."""

import pytest

from posthouse.wire.smtp_text import MailParameters, NoMailbox, Refused, mail_parameters, refuse_parameters, take_path


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        (b"<>", ""),
        (b"<a@b.example>", "a@b.example"),
        (b"<a+b/c=d!#$%&'*-?^_`{|}~@b.example>", "a+b/c=d!#$%&'*-?^_`{|}~@b.example"),
        (b'<"a b"@c.example>', '"a b"@c.example'),
        (b'<"a>b"@c.example>', '"a>b"@c.example'),
        (b'<"a\\"b\\\\"@c.example>', '"a\\"b\\\\"@c.example'),
        (b'<"plain.name"@c.example>', "plain.name@c.example"),
        (b'<"\\p\\l\\a\\i\\n"@c.example>', "plain@c.example"),
        (b'<""@c.example>', '""@c.example'),
        (b"<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        (b"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        (b"<@x.example:a@b.example>", "a@b.example"),
        (b"<@x.example,@y.example:a@b.example>", "a@b.example"),
        (b"<a@under_score.example>", "a@under_score.example"),
        (b"<a@localhost>", "a@localhost"),
    ],
)
def test_path_is_read(argument: bytes, path: str) -> None:
    assert take_path(argument) == (path, "")
    assert take_path(argument + b" SIZE=3  X") == (path, "SIZE=3  X")


@pytest.mark.parametrize(
    "argument",
    [b"", b"a@b.example", b"<a@b.example", b"a@b.example>", b"<a@b.example>x", b"<<a@b.example>", b"<a>b@c>"],
)
def test_path_wants_its_brackets(argument: bytes) -> None:
    if argument == b"<<a@b.example>":
        with pytest.raises(Refused):
            take_path(argument)
    else:
        assert take_path(argument) is None


@pytest.mark.parametrize(
    "inner",
    [
        b"a", b"@b.example", b"a@", b"a@b.example.", b"a@.b.example", b"a@b..example", b".a@b.example", b"a.@b.example",
        b"a..b@c.example", b"a b@c.example", b"a@b@c.example", b"a@-b.example", b"a@b-.example", b"a@b c.example",
        b"a@[192.0.2.256]", b"a@[192.0.2]", b"a@[IPv6:xyz]", b"a@[IPv6:fe80::1%eth0]", b"a@[tag:content]", b"a@[]",
        b'"a"b@c.example', b"a\\b@c.example", b"a@" + b"b" * 64 + b".example", b"@x.example a@b.example",
        b"@:a@b.example",        b"a" * 250 + b"@b.example", b"Postmaster",
    ],
)  # fmt: skip
def test_malformed_mailbox_is_refused(inner: bytes) -> None:
    with pytest.raises(NoMailbox) as caught:
        take_path(b"<" + inner + b">")
    assert caught.value.reply.code == 553


def test_postmaster_without_domain_is_a_recipient() -> None:
    assert take_path(b"<PostMaster>", postmaster=True) == ("PostMaster", "")


def test_non_ascii_address_is_refused_with_its_own_code() -> None:
    with pytest.raises(Refused) as caught:
        take_path("<é@b.example>".encode())
    assert str(caught.value.reply).startswith("553 5.6.7")


def test_mail_parameters_are_read() -> None:
    text = "size=123 BODY=8bitmime AUTH=<>"
    with pytest.raises(Refused):
        mail_parameters(text, extended=True, auth=False)
    read = mail_parameters(text.replace("AUTH=<>", "AUTH=a+40b"), extended=True, auth=True)
    assert read == MailParameters(size=123, body="8BITMIME")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SIZE", 501), ("SIZE=", 501), ("SIZE=1_0", 501), ("SIZE=-1", 501), ("SIZE=" + "9" * 21, 501), ("SIZE=+1", 501),
        ("BODY=BINARYMIME", 501), ("SIZE=1 SIZE=1", 501), ("=1", 501), ("SMTPUTF8", 555), ("REQUIRETLS", 555),
        ("X=\ufffd", 501), ("AUTH=x", 555), ("RET=FULL", 555), ("ENVID=x", 555),
    ],
)  # fmt: skip
def test_bad_mail_parameters_are_refused(text: str, code: int) -> None:
    with pytest.raises(Refused) as caught:
        mail_parameters(text, extended=True, auth=False)
    assert caught.value.reply.code == code


@pytest.mark.parametrize("text", ["AUTH", "AUTH=a+4", "AUTH=a+0db", "AUTH=a=b"])
def test_malformed_author_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        mail_parameters(text, extended=True, auth=True)
    assert caught.value.reply.code == 501


@pytest.mark.parametrize(("text", "code"), [("NOTIFY=NEVER", 555), ("ORCPT=rfc822;a@b.example", 555), ("=", 501)])
def test_recipients_have_no_parameters(text: str, code: int) -> None:
    with pytest.raises(Refused) as caught:
        refuse_parameters(text)
    assert caught.value.reply.code == code


def test_parameters_are_for_those_who_said_ehlo() -> None:
    with pytest.raises(Refused) as caught:
        mail_parameters("SIZE=1", extended=False, auth=True)
    assert caught.value.reply.code == 555
