"""Plays the client's side of a conversation to ServerProtocol, in pieces of any size."""

from posthouse.wire.smtp_events import NEED_DATA, Answered, Login, Mail, Message, Rcpt, StartTls
from posthouse.wire.smtp_reply import Reply, reply
from posthouse.wire.smtp_server import Offer, ServerProtocol

OK = reply(250, "Ok")

OFFER = Offer(hostname="mx.example.com", max_size=1000, starttls=True, auth="always")


class Player:
    """A session of fixed opinions: nobody@ does not exist, good/secret may log in, every message is taken."""

    def __init__(self, offer: Offer = OFFER) -> None:
        self.protocol = ServerProtocol(offer)
        self.said = self.protocol.greeting()
        self.messages: list[Message] = []
        self.log: list[str] = []

    def hear(self, received: bytes) -> "Player":
        self.protocol.receive(received)
        while True:
            event = self.protocol.next_event()
            if event is NEED_DATA:
                return self
            if isinstance(event, StartTls):
                self.said += self.protocol.reply(event.reply)
                self.protocol.tls_started()
            else:
                self.said += self.protocol.reply(self._answer(event))

    def codes(self) -> list[int]:
        """The codes of all replies but the greeting."""
        return [int(line[:3]) for line in self.said.split(b"\r\n")[1:] if line[3:4] == b" "]

    def _answer(self, event: Answered | Mail | Rcpt | Message | Login) -> Reply:
        match event:
            case Answered(reply=own):
                return own
            case Rcpt(path=path) if path.startswith("nobody@"):
                return reply(550, "nobody here", "5.1.1")
            case Login(user=user, password=password):
                self.log.append(f"login {user} {password}")
                good = (user, password) == ("good", "secret")
                return (
                    reply(235, "Authentication successful.")
                    if good
                    else reply(535, "Authentication Credentials Invalid")
                )
            case Message():
                self.messages.append(event)
                rcpts = ",".join(rcpt.path for rcpt in event.rcpts)
                self.log.append(f"message {event.mail.path} > {rcpts}: {event.content!r}")
                return reply(250, f"Ok message-{len(self.messages)}")
        return OK


def play(*pieces: bytes, offer: Offer = OFFER) -> Player:
    """A conversation in which the client sends `pieces`."""
    player = Player(offer)
    for piece in pieces:
        player.hear(piece)
    return player


def in_transaction(*pieces: bytes, offer: Offer = OFFER) -> Player:
    """The same, after DATA has been answered with 354."""
    opening = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
    return play(opening, *pieces, offer=offer)
