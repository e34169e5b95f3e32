"""Whatever a server sends ends in one of the client's events; and both ends of our own protocol agree."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.inputs import inputs

from posthouse.wire.smtp_client import ClientProtocol
from posthouse.wire.smtp_events import NEED_DATA, Answered, Mail, Message, Rcpt
from posthouse.wire.smtp_events import StartTls as ServerStartTls
from posthouse.wire.smtp_reply import reply
from posthouse.wire.smtp_server import Offer, ServerProtocol
from posthouse.wire.smtp_transaction import Envelope, Failed, Finished, Ready, Stage, StartTls

ENVELOPE = Envelope("a@ex.org", ("b@ex.net", "c@ex.net"), b"Subject: x\r\n\r\n.\r\n", eight_bit=True)

LINES = st.sampled_from(
    [
        b"220 mx\r\n",
        b"250-mx\r\n",
        b"250-PIPELINING\r\n",
        b"250 STARTTLS\r\n",
        b"250 AUTH PLAIN LOGIN\r\n",
        b"250 ok\r\n",
        b"334 x\r\n",
        b"235 in\r\n",
        b"354 go\r\n",
        b"421 bye\r\n",
        b"450 4.2.0 later\r\n",
        b"550 5.1.1 no\r\n",
        b"550-5.1.1 no\n",
        b"\r\n",
        b"250",
        b"\xff\xfe",
    ]
)
SERVER = st.lists(st.one_of(LINES, st.binary(max_size=40)), max_size=40)


def drive(proto: ClientProtocol, chunks: list[bytes], login: bool) -> list[Finished | Failed]:
    """Acts on every event as delivery/ would, and loses the connection at the end."""
    ends: list[Finished | Failed] = []
    steps = iter(["tls", "login", "send", "send", "quit"] if login else ["send", "send", "quit"])

    def act() -> None:
        while (event := proto.next_event()) is not None:
            if isinstance(event, Finished | Failed):
                ends.append(event)
            if isinstance(event, StartTls):
                proto.tls_started()
            elif isinstance(event, Ready) or (isinstance(event, Finished) and event.reusable):
                match next(steps, "quit"):
                    case "tls":
                        proto.start_tls()
                    case "login":
                        proto.authenticate("user", "secret")
                    case "send":
                        proto.send(ENVELOPE)
                    case "quit":
                        proto.quit()
        proto.data_to_send()

    for chunk in chunks:
        proto.receive(chunk)
        act()
    proto.lost("Connection lost")
    act()
    return ends


@settings(max_examples=inputs(400), deadline=None)
@given(chunks=SERVER, lmtp=st.booleans(), login=st.booleans())
def test_any_server_bytes_end_in_a_defined_event(chunks: list[bytes], lmtp: bool, login: bool) -> None:
    for end in drive(ClientProtocol("me.example", lmtp=lmtp), chunks, login):
        if isinstance(end, Finished):
            assert [a.recipient for a in end.answers] == list(ENVELOPE.recipients)
            assert all(200 <= a.reply.code <= 599 for a in end.answers)


@settings(max_examples=inputs(150), deadline=None)
@given(chunks=SERVER, lmtp=st.booleans(), seed=st.integers())
def test_how_the_bytes_are_split_does_not_matter_to_the_outcome(chunks: list[bytes], lmtp: bool, seed: int) -> None:
    """As long as the server waits for the commands it answers: here it speaks in the client's rhythm."""
    draw = random.Random(seed)
    whole, split = ClientProtocol("me.example", lmtp=lmtp), ClientProtocol("me.example", lmtp=lmtp)
    for chunk in chunks:
        cut = draw.randint(0, len(chunk))
        if not chunk.endswith(b"\n") or b"\n" in chunk[:-1]:
            continue
        whole.receive(chunk)
        for part in (chunk[:cut], chunk[cut:]):
            if part:
                split.receive(part)
        events = (whole.next_event(), split.next_event())
        assert events[0] == events[1]
        if isinstance(events[0], Ready):
            whole.send(ENVELOPE)
            split.send(ENVELOPE)


def serve(server: ServerProtocol, data: bytes, refuse: str, taken: list[Message]) -> bytes:
    """What our own server says to these bytes; RCPT of `refuse` is refused."""
    server.receive(data)
    out = b""
    while (event := server.next_event()) is not NEED_DATA:
        if isinstance(event, Answered | ServerStartTls):
            out += server.reply(event.reply)
        elif isinstance(event, Rcpt) and event.path == refuse:
            out += server.reply(reply(550, "No such user", "5.1.1"))
        elif isinstance(event, Message):
            taken.append(event)
            out += server.reply(reply(250, "Ok", "2.0.0"))
        else:
            assert isinstance(event, Mail | Rcpt)
            out += server.reply(reply(250, "Ok", "2.1.0"))
    return out


def pieces(data: bytes, draw: random.Random) -> list[bytes]:
    parts = []
    while data:
        cut = draw.randint(1, len(data))
        parts.append(data[:cut])
        data = data[cut:]
    return parts


CONTENTS = st.lists(
    st.sampled_from([b".", b"..", b"a", b"\r\n", b"\r\n.\r\n", b".\r\n", b"\xc3\xa4", b" " * 500]), max_size=20
).map(b"".join)


@settings(max_examples=inputs(200), deadline=None)
@given(contents=st.lists(CONTENTS, min_size=1, max_size=3), seed=st.integers())
def test_our_client_and_our_server_back_to_back_at_random_splits(contents: list[bytes], seed: int) -> None:
    draw = random.Random(seed)
    client, server = ClientProtocol("me.example"), ServerProtocol(Offer("mx.example"))
    taken: list[Message] = []
    finished: list[Finished] = []
    waiting = [Envelope("a@ex.org", ("b@ex.net", "no@ex.net"), c, eight_bit=True) for c in contents]
    to_client = server.greeting()
    while to_client:
        for part in pieces(to_client, draw):
            client.receive(part)
        event = client.next_event()
        if isinstance(event, Finished):
            finished.append(event)
        if isinstance(event, Ready | Finished) and waiting:
            client.send(waiting.pop(0))
        to_client = b"".join(serve(server, part, "no@ex.net", taken) for part in pieces(client.data_to_send(), draw))
    assert [[a.reply.code for a in f.answers] for f in finished] == [[250, 550]] * len(contents)
    assert [(a.stage) for f in finished for a in f.answers] == [Stage.BODY, Stage.RCPT] * len(contents)
    for message, content in zip(taken, contents, strict=True):
        assert message.content == (content if content.endswith(b"\r\n") else content + b"\r\n")
        assert [r.path for r in message.rcpts] == ["b@ex.net"]


@pytest.mark.parametrize("seed", range(20))
def test_garbage_of_any_length_is_bounded(seed: int) -> None:
    draw = random.Random(seed)
    proto = ClientProtocol("me.example")
    for _ in range(2000):
        proto.receive(draw.randbytes(draw.randint(1, 200)))
        if isinstance(proto.next_event(), Ready):
            proto.send(ENVELOPE)
    assert len(proto._buffer) <= 65536
