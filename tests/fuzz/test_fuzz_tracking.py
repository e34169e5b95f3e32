"""Any bytes are a mail and any text is a link: tracking never fails, and changes nothing but what it is to change.

POSTHOUSE_FUZZ_INPUTS sets how many mails are made; the default takes a few seconds.
"""

import random
import re

import pytest
from tests.fuzz.inputs import inputs
from tests.fuzz.test_fuzz_mail import PIECES as MAIL_PIECES
from tests.support.html_oracle import LINK, Tracked
from tests.unit.mail.test_tracking_html import PIECES as HTML_PIECES

from posthouse.domain.message_ids import outgoing_id
from posthouse.domain.scope import Scope
from posthouse.mail import headers, mime, outgoing, tracking, transfer
from posthouse.mail.tracking import Plan, Target
from posthouse.mail.tracking_tokens import TrackedLink, TrackedMail, TrackingTokens
from posthouse.mail.unsubscribe import with_way_out

ROUNDS = inputs(3000)
LONG = LINK + "x-_Y" * 50
PIXEL = "https://t.test/t/o/" + "z" * 100
MORE = [
    *(b"Content-Type: text/html\r\n\r\n", b"Content-Type: text/html; charset=iso-2022-jp\r\n", b"\x1b$B", b"\x1b(B"),
    *(b"<a href=https://a.example/>", b'<a ses:tags="a:b" href="https://a.example/">', b"{{ses:openTracker}}"),
    *(
        b"<a href=3D=22https://a.example/=22>",
        b"=\r\n",
        b"=3D",
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n",
    ),
    *(b"PGEgaHJlZj1odHRwczovL2EuZXhhbXBsZS8+", b"</body>", b"y" * 990, b"Content-Transfer-Encoding: 8bit\r\n"),
]
TOKENS = TrackingTokens(lambda: b"k" * 32)


def link(target: Target) -> str:
    return f"{LONG}{target.number}"


def restored(content: bytes) -> bytes:
    """A decoded part without what tracking changes in one."""
    content = re.sub(rb"%b[0-9]+" % LONG.encode(), b"", content).replace(b"https://a.example/", b"")
    content = re.sub(rb'<img alt="" src="%b"[^>]*>' % PIXEL.encode(), b"", content).replace(tracking.OPEN_TRACKER, b"")
    return re.sub(rb"[ \t]*ses:(?:tags|no-track)(?:=\"a:b\"|=a:b|)", b"", content)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_mail_only_links_and_pixel_change(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS // 10):
        raw = outgoing.crlf(b"".join(chance.choices(MAIL_PIECES + MORE + MORE, k=chance.randrange(40))))
        before = headers.read(raw)
        after = tracking.rewrite(before, Plan(link, PIXEL))
        if after is None:
            continue
        old, new = mime.walk(raw, before.fields), mime.walk(after.to_bytes(), after.fields)
        assert [part.path for part in old.parts] == [part.path for part in new.parts]
        for one, other in zip(old.parts, new.parts, strict=True):
            was, became = _content(raw, one), _content(after.to_bytes(), other)
            assert restored(was) == restored(became)
            if one.content_type != "text/html":
                assert was == became


def _content(raw: bytes, part: mime.Part) -> bytes:
    return transfer.read_body(part.encoding, raw[part.start : part.end])


@pytest.mark.parametrize("seed", range(10, 20))
def test_whatever_the_html_a_browser_sees_it_as_it_was(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS // 50):
        Tracked(b"".join(chance.choices(HTML_PIECES, k=chance.randrange(60))), opens=False).check()


@pytest.mark.parametrize("seed", range(20, 23))
def test_no_edit_of_a_token_is_a_token(seed: int) -> None:
    chance = random.Random(seed)
    mail = TrackedMail(
        scope=Scope("1" * 12, "us-east-1"), message_id=outgoing_id("us-east-1", 1, bytes(16)), configuration_set="s"
    )
    letters = "ABCabc019-_=+/%. \n\u00e9"
    for _ in range(ROUNDS // 10):
        url = "https://a.example/" + "x" * chance.randrange(40)
        token = TOKENS.clicked(TrackedLink(mail=mail, number=chance.randrange(250), url=url))
        at = chance.randrange(len(token))
        edited = chance.choice(
            [
                token[:at] + chance.choice(letters) + token[at + 1 :],
                token[:at] + chance.choice(letters) + token[at:],
                token[:at] + token[at + chance.randrange(1, 9) :],
                token[:at] + token[at:].swapcase(),
                token[at:] + token[:at],
            ]
        )
        assert edited == token or TOKENS.read_clicked(edited) is None
        assert TOKENS.read_opened(edited) is None


def test_any_mail_may_get_a_way_out() -> None:
    rnd = random.Random(8)
    pieces = [*MAIL_PIECES, *HTML_PIECES, *MORE, b"{{amazonSESUnsubscribeUrl}}"]
    for _ in range(ROUNDS // 3):
        raw = outgoing.crlf(b"".join(rnd.choices(pieces, k=rnd.randint(1, 40))))
        message = headers.read(raw)
        linked = with_way_out(message, "https://mail.example.org/u/abc")
        own = [field for field in message.fields if field.key.startswith(b"list-unsubscribe")]
        added = [field for field in linked.fields if field.key.startswith(b"list-unsubscribe")]
        assert len(added) == (len(own) or 2)
        if b"amazonSESUnsubscribeUrl" not in raw:
            assert linked.body == message.body
