"""The MX door's session."""

from dataclasses import dataclass

from posthouse.smtp.envelope import Envelope
from posthouse.smtp.inbound import InboundSession, inbound_offer
from posthouse.wire.smtp_events import Login, Mail, Message, Rcpt
from posthouse.wire.smtp_reply import Reply, reply
from posthouse.wire.smtp_server import ServerProtocol

UNKNOWN = reply(550, "mailbox unavailable", "5.1.1")


@dataclass
class Peer:
    client_ip: str = "192.0.2.7"
    cipher: str = "TLSv1.3 X"


def session(
    *, awaited: bool = False
) -> tuple[InboundSession, list[tuple[str, str, str]], list[tuple[Envelope, bytes]]]:
    asked: list[tuple[str, str, str]] = []
    taken: list[tuple[Envelope, bytes]] = []

    def accepts(client_ip: str, mail_from: str, rcpt: str) -> Reply | None:
        asked.append((client_ip, mail_from, rcpt))
        return None if rcpt == "known@d.example" else UNKNOWN

    async def accepts_later(client_ip: str, mail_from: str, rcpt: str) -> Reply | None:
        return accepts(client_ip, mail_from, rcpt)

    async def accept(envelope: Envelope, content: bytes) -> str:
        taken.append((envelope, content))
        return "in-1"

    protocol = ServerProtocol(inbound_offer("mx.example.com", starttls=True), tls=True)
    return InboundSession(protocol, Peer(), accepts_later if awaited else accepts, accept), asked, taken


def test_recipient_is_judged_at_rcpt_and_at_once() -> None:
    inbound, asked, _ = session()
    assert isinstance(inbound.answer(Mail("a@b.example")), Reply)
    assert str(inbound.answer(Rcpt("known@d.example"))) == "250 2.1.5 Ok"
    assert inbound.answer(Rcpt("other@d.example")) == UNKNOWN
    assert asked[0] == ("192.0.2.7", "a@b.example", "known@d.example")


async def test_recipient_check_may_take_its_time() -> None:
    inbound, _, _ = session(awaited=True)
    for rcpt, code in (("known@d.example", 250), ("other@d.example", 550)):
        answer = inbound.answer(Rcpt(rcpt))
        assert not isinstance(answer, Reply)
        assert (await answer).code == code


async def test_message_is_answered_with_its_id_after_it_was_taken() -> None:
    inbound, _, taken = session()
    answer = inbound.answer(Message(Mail(""), (Rcpt("known@d.example"),), b"x\r\n"))
    assert taken == []
    assert not isinstance(answer, Reply)
    assert str(await answer) == "250 Ok in-1"
    envelope, content = taken[0]
    assert (envelope.mail_from, envelope.rcpt_to, envelope.cipher, content) == (
        "",
        ("known@d.example",),
        "TLSv1.3 X",
        b"x\r\n",
    )


def test_nobody_can_log_in() -> None:
    inbound, _, _ = session()
    answer = inbound.answer(Login("a", "b"))
    assert isinstance(answer, Reply)
    assert answer.code == 535
    assert inbound_offer("mx", starttls=True).auth == "never"
