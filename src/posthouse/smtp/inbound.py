"""The MX door: mail from the world for recipients that a receipt rule asks for (SES reference 24)."""

from collections.abc import Awaitable, Callable

from posthouse.ports.stores import StoreUnavailable
from posthouse.smtp import replies
from posthouse.smtp.envelope import Envelope, Peer, envelope_of
from posthouse.smtp.paces import Paces
from posthouse.wire.smtp_events import Login, Mail, Message, Question, Rcpt
from posthouse.wire.smtp_reply import Reply, reply
from posthouse.wire.smtp_server import Offer, ServerProtocol

MAX_SIZE = 41_943_040
"""Octets of a message (SES reference 24.4: 40 MB)."""

SENDER_OK = reply(250, "Ok", "2.1.0")
RECIPIENT_OK = reply(250, "Ok", "2.1.5")

TOO_FAST = reply(450, "Too many messages from your address, try again later", "4.7.1")

Accepts = Callable[[str, str, str], Reply | Awaitable[Reply | None] | None]
"""(client ip, mail_from, recipient) -> None where the recipient is wanted, else the refusal. At once, or awaited."""

Accept = Callable[[Envelope, bytes], Awaitable[str]]
"""(envelope, content) -> message id, once the message is durable: the client forgets it when told so."""


def inbound_offer(hostname: str, *, starttls: bool, max_size: int = MAX_SIZE, max_recipients: int = 1000) -> Offer:
    """What the MX door announces: no AUTH, and no DSN, for we relay nothing on that a sender could ask about."""
    return Offer(hostname=hostname, max_size=max_size, max_recipients=max_recipients, starttls=starttls)


class InboundSession:
    """Answers one client of the MX door."""

    def __init__(
        self, protocol: ServerProtocol, peer: Peer, accepts: Accepts, accept: Accept, paces: Paces | None = None
    ) -> None:
        """`paces`: how fast clients may hand in; None: as fast as they can."""
        self._protocol, self._peer = protocol, peer
        self._accepts, self._accept, self._paces = accepts, accept, paces
        self._mail_from = ""

    def answer(self, question: Question) -> Reply | Awaitable[Reply]:
        """Recipients are judged one by one, before DATA: what is not wanted is not even sent."""
        match question:
            case Mail():
                if self._paces is not None and not self._paces.allows(self._peer.client_ip):
                    return TOO_FAST
                self._mail_from = question.path
                return SENDER_OK
            case Rcpt():
                verdict = self._accepts(self._peer.client_ip, self._mail_from, question.path)
                if verdict is None:
                    return RECIPIENT_OK
                return verdict if isinstance(verdict, Reply) else _awaited(verdict)
            case Message():
                return self._take(question)
            case Login():
                return replies.CREDENTIALS_INVALID

    async def _take(self, message: Message) -> Reply:
        try:
            message_id = await self._accept(envelope_of(message, self._protocol, self._peer), message.content)
        except StoreUnavailable as error:
            return replies.store_unavailable(error)
        return replies.accepted(message_id)


async def _awaited(verdict: Awaitable[Reply | None]) -> Reply:
    try:
        return await verdict or RECIPIENT_OK
    except StoreUnavailable as error:
        return replies.store_unavailable(error)
