"""ServerProtocol and its helpers on hostile bytes: no exception, no unbounded memory, no dependence on cuts."""

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.inputs import inputs
from tests.wire.smtp_server_player import Player

from posthouse.wire import proxy_protocol, smtp_auth
from posthouse.wire.smtp_body import Body
from posthouse.wire.smtp_reply import MalformedReply, take_reply

WORDS = [
    b"EHLO x", b"HELO x", b"MAIL FROM:<a@b.example>", b"MAIL FROM:<>", b"RCPT TO:<c@d.example>", b"RSET", b"NOOP",
    b"DATA", b"RCPT TO:<Postmaster>", b"QUIT", b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH PLAIN AGdvb2QAc2VjcmV0", b"*",
    b" SIZE=12", b" BODY=8BITMIME", b" NOTIFY=NEVER", b" ORCPT=rfc822;a+40b", b" ENVID=+41", b"<", b">", b'"', b"@",
    b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b".", b"..", b"\r\n.\r\n", b"\0", b"\xff", b" ", b":",
    b"x" * 600, b"x" * 2100, b"[192.0.2.1]", b"[IPv6:::1]", b"\\", b"=", b"+", b"Subject: x",
]  # fmt: skip


def hear_all(pieces: list[bytes]) -> Player:
    player = Player()
    for piece in pieces:
        if player.protocol.closed:
            break
        player.hear(piece)
    return player


def test_any_words_cut_anywhere_give_the_same_conversation() -> None:
    chance = random.Random(5321)
    for _ in range(inputs(1500)):
        sent = b"".join(chance.choices(WORDS, k=chance.randrange(1, 60)))
        if chance.random() < 0.7:
            sent = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n" + sent
        cuts = sorted(chance.randrange(len(sent) + 1) for _ in range(chance.randrange(8)))
        pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
        whole, cut = hear_all([sent]), hear_all(pieces)
        assert cut.said == whole.said, sent
        assert cut.log == whole.log, sent
        assert cut.protocol.stage == whole.protocol.stage or whole.protocol.closed


def test_every_reply_is_one_that_a_client_can_read() -> None:
    chance = random.Random(2034)
    for _ in range(500):
        said = hear_all([b"".join(chance.choices(WORDS, k=50))]).said
        at = 0
        while at < len(said):
            found = take_reply(said, at)
            assert found is not None
            at = found[1]


@settings(max_examples=inputs(300), deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_are_survived(pieces: list[bytes]) -> None:
    hear_all(pieces)


@settings(max_examples=inputs(300), deadline=None)
@given(st.text(alphabet="\r\n.x", max_size=40), st.integers(0, 40))
def test_message_end_agrees_with_a_reading_line_by_line(text: str, cut: int) -> None:
    sent = text.encode() + b"\r\n.\r\n"
    body = Body(1000, "accept")
    end = body.take(sent[:cut], 0) if sent[:cut] else -1
    if end < 0:
        end = body.take(sent[cut:], 0)
        end = end + cut if end >= 0 else end
    lines = sent.split(b"\r\n")
    last = lines.index(b".")
    assert end == sum(len(line) + 2 for line in lines[: last + 1])
    content = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:last])
    # However a reader takes CR and LF, no line of what was sent is a dot alone: one dot, or two as a stuffed one.
    loose = sent[: end - 3].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    suspicious = sum(line in (b".", b"..") for line in loose) > lines[:last].count(b"..")
    if not suspicious:
        assert body.refusal is None
        assert body.content == content
    elif body.refusal is None:
        # Only a dot between two true CRLFs may stay, and that is what the sender stuffed.
        assert all(line in lines[:last] for line in loose if line in (b".", b".."))


@settings(max_examples=inputs(200), deadline=None)
@given(st.binary(max_size=300))
def test_small_parsers_raise_only_what_they_promise(data: bytes) -> None:
    with contextlib.suppress(MalformedReply):
        take_reply(data)
    with contextlib.suppress(proxy_protocol.MalformedHeader):
        if proxy_protocol.octets_missing(data) <= 0:
            proxy_protocol.client_ip(data)
    step = smtp_auth.begin(data)
    if isinstance(step, smtp_auth.Challenge):
        step.exchange.answer(data)
