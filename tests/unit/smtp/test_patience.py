"""Deadlines, with a clock in hand."""

from dataclasses import replace

from posthouse.smtp.patience import Deadlines, Patience
from posthouse.wire.smtp_server import Offer, ServerProtocol

PATIENCE = Patience(idle_s=100, line_s=10, body_grace_s=20, body_octets_per_s=10, refused_s=3)


def protocol(*received: bytes) -> ServerProtocol:
    made = ServerProtocol(Offer("mx.example.com"))
    for piece in received:
        feed(made, piece)
    return made


def feed(to: ServerProtocol, piece: bytes) -> None:
    from posthouse.wire.smtp_events import NEED_DATA, Answered
    from posthouse.wire.smtp_reply import reply

    to.receive(piece)
    while (event := to.next_event()) is not NEED_DATA:
        to.reply(event.reply if isinstance(event, Answered) else reply(250, "Ok"))


OPENING = b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n"


def test_between_commands_only_silence_counts() -> None:
    deadlines, client = Deadlines(PATIENCE), protocol(b"HELO x\r\n")
    assert deadlines.next(client, 1000) == 1100
    assert deadlines.next(client, 1050) == 1150


def test_a_session_that_brings_no_message_ends_however_lively_it_is() -> None:
    deadlines, client = Deadlines(replace(PATIENCE, barren_s=250)), protocol(b"HELO x\r\n")
    for now in (1000, 1090, 1180):
        feed(client, b"NOOP\r\n")
        assert deadlines.next(client, now) == min(now + 100, 1250)
    feed(client, b"NO")
    assert deadlines.next(client, 1245) == 1250
    feed(client, b"OP\r\n" + OPENING)
    assert deadlines.next(client, 1249) == 1269  # a message on its way has its own pace
    feed(client, b"x\r\n.\r\n")
    assert deadlines.next(client, 1260) == 1360


def test_line_must_end_in_time_however_lively_it_drips() -> None:
    deadlines, client = Deadlines(PATIENCE), protocol(b"HE")
    assert deadlines.next(client, 1000) == 1010
    feed(client, b"L")
    assert deadlines.next(client, 1009) == 1010
    feed(client, b"O x\r\nNO")
    assert deadlines.next(client, 1009.5) == 1019.5


def test_message_must_come_at_a_least_rate() -> None:
    deadlines, client = Deadlines(PATIENCE), protocol(OPENING)
    assert deadlines.next(client, 1000) == 1020
    feed(client, b"x" * 998)
    assert deadlines.next(client, 1001) == 1101  # no longer than silence is borne
    feed(client, b"\r\n" + b"y")
    assert deadlines.next(client, 1100) == 1120.3


def test_refused_message_is_not_waited_for() -> None:
    deadlines, client = Deadlines(PATIENCE), protocol(OPENING + b"x\n.\n")
    assert deadlines.next(client, 1000) == 1003
