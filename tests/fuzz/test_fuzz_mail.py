"""Any bytes are a mail: nothing in the mail room raises on them, and what is read agrees with itself.

POSTHOUSE_FUZZ_INPUTS sets how many mails are made; the default takes a few seconds.
"""

import random

import pytest
from tests.fuzz.inputs import inputs

from posthouse.mail import dkim, headers, mailboxes, mime, outgoing, parse, seven_bit, submitted
from posthouse.mail.encoded_words import decode_words
from posthouse.mail.outgoing import Stamp

ROUNDS = inputs(3000)
STAMP = Stamp("<id@x>", "Thu, 2 May 2024 09:15:30 +0000", "2024.05.02-192.0.2.1", "1.x:AmazonSES")
PIECES = [
    *(b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"\xff", b"\xc3\xa9", b"x", b"--", b"--b", b"--b--"),
    *(
        b"\r\n\r\n",
        b"\r\n--b\r\n",
        b"\r\n--b--\r\n",
        b"\r\n--c\r\n",
        b"From: a@b",
        b"From",
        b": ",
        b":",
        b";",
        b",",
        b"=",
    ),
    *(
        b'"',
        b"\\",
        b"(",
        b")",
        b"<",
        b">",
        b"[",
        b"]",
        b"@",
        b"*",
        b"*0*=",
        b"''",
        b"%41",
        b"boundary=b",
        b'boundary="c"',
    ),
    *(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=c\r\n"),
    *(
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/html; charset=utf-8\r\n",
        b"charset=rot13",
        b"name=a.exe",
    ),
    *(b"Content-Disposition: attachment; filename=", b"Content-Transfer-Encoding: base64\r\n", b"aGVsbG8=", b"=C3=A9"),
    *(b"Content-Transfer-Encoding: quoted-printable\r\n", b"=?utf-8?q?x?=", b"=?utf-8?b?", b"?=", b"=?zip?q?x?="),
    *(
        b"\x0b",
        b"\xc2\x85",
        b"filename=\x0b",
        b"x" * 1001,
        b"; filename*1*=%C3",
        b"Content-Transfer-Encoding: 8bit\r\n",
    ),
    *(b"Subject: x\r\n", b'To: team: c@d, "e, f" <g@h>;\r\n', b"X-SES-MESSAGE-TAGS: a=b, c=d\r\n", b"Bcc: s@t\r\n"),
]


def mails(seed: int) -> list[bytes]:
    chance = random.Random(seed)
    return [b"".join(chance.choices(PIECES, k=chance.randrange(40))) for _ in range(ROUNDS // 10)]


@pytest.mark.parametrize("seed", range(10))
def test_reading_never_fails_and_agrees_with_itself(seed: int) -> None:
    for raw in mails(seed):
        mail = parse.read(raw)
        for attachment in mail.attachments:
            data = parse.part(raw, attachment.path)
            assert data is not None
            assert len(data) == attachment.size
        for part in mime.walk(raw, into_messages=True).parts:
            assert 0 <= part.start <= part.end <= len(raw)


@pytest.mark.parametrize("seed", range(10, 20))
def test_what_leaves_is_clean_whatever_came(seed: int) -> None:
    for raw in mails(seed):
        mail = submitted.read_submission(raw)
        submitted.refusal(mail)
        submitted.read_tags(mail.message_tags or "")
        fields = outgoing.rewrite_head(mail.fields, STAMP)
        leaving = outgoing.assemble([], fields, mail.body)
        rest = leaving.replace(b"\r\n", b"")
        assert b"\r" not in rest
        assert b"\n" not in rest
        again = headers.read(leaving)
        assert again == (fields, mail.body)
        keys = [field.key for field in again.fields]
        assert b"bcc" not in keys
        assert keys.count(b"message-id") == keys.count(b"date") == 1


@pytest.mark.parametrize("seed", range(30, 40))
def test_what_is_made_to_fit_fits_whatever_it_was(seed: int) -> None:
    for raw in mails(seed):
        message = headers.read(outgoing.crlf(raw))
        fit = seven_bit.fit_for_smtp(message)
        for made in (fit, seven_bit.to_seven_bit(message), seven_bit.to_seven_bit(fit)):
            if made is None:
                continue
            rest = made.to_bytes().replace(b"\r\n", b"")
            assert b"\r" not in rest
            assert b"\n" not in rest
            assert made is fit or rest.isascii()
            assert headers.read(made.to_bytes()) == made


@pytest.mark.parametrize("seed", range(20, 25))
def test_values_of_headers_are_read_whatever_they_are(seed: int) -> None:
    for raw in mails(seed):
        value = raw.decode("iso-8859-1")
        decode_words(value)
        mime.read_parameters(value)
        for mailbox in mailboxes.parse(value):
            written = mailboxes.write(mailbox.display, "a@b")
            assert not set("\r\n\0") & set(written)
            assert [each.address for each in mailboxes.parse(written)] == ["a@b"]


@pytest.mark.parametrize("seed", range(25, 30))
def test_body_hashes_do_not_depend_on_trailing_empty_lines(seed: int) -> None:
    for raw in mails(seed):
        for form in ("relaxed/simple", "relaxed/relaxed"):
            ended = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
            assert dkim.body_hash(raw, form) == dkim.body_hash(ended + b"\r\n" * 3, form)
