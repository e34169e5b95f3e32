"""What the doors know of a message beside its content: handed to `submit` and `accept`."""

from dataclasses import dataclass
from typing import Protocol

from posthouse.wire.smtp_events import Message
from posthouse.wire.smtp_server import ServerProtocol
from posthouse.wire.smtp_text import MailParameters


class Peer(Protocol):
    """Whom a session talks to."""

    @property
    def client_ip(self) -> str: ...

    @property
    def cipher(self) -> str:
        """``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty in the clear."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """One transaction: who sent what for whom, over what kind of connection."""

    mail_from: str
    """The reverse path; an empty string for ``<>``."""
    rcpt_to: tuple[str, ...]
    """The forward paths, in the order given."""
    parameters: MailParameters
    client_ip: str
    client_name: str
    """What the client said in HELO or EHLO: its word, not ours."""
    protocol: str
    """``SMTP``, ``ESMTP``, ``ESMTPS``, ``ESMTPA``, ``ESMTPSA`` (RFC 3848), for the Received header."""
    cipher: str
    """TLS version and cipher suite; empty in the clear."""


def envelope_of(message: Message, protocol: ServerProtocol, peer: Peer) -> Envelope:
    """The envelope of a message that has just come."""
    return Envelope(
        mail_from=message.mail.path,
        rcpt_to=tuple([rcpt.path for rcpt in message.rcpts]),
        parameters=message.mail.parameters,
        client_ip=peer.client_ip,
        client_name=protocol.client_name,
        protocol=protocol.protocol_name,
        cipher=peer.cipher,
    )
