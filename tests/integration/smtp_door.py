"""A door with everything behind it made of lists, on a free port of loopback."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from posthouse.domain.scope import Caller, Scope
from posthouse.ports.credentials import Credential
from posthouse.smtp.certificates import self_signed, server_context
from posthouse.smtp.envelope import Envelope
from posthouse.smtp.failed_logins import FailedLogins
from posthouse.smtp.guests import Guests
from posthouse.smtp.inbound import InboundSession, inbound_offer
from posthouse.smtp.listener import Door, Limits, Listener, serve_sockets
from posthouse.smtp.patience import Patience
from posthouse.smtp.submission import SubmissionRules, SubmissionSession, submission_offer
from posthouse.wire.smtp_password import smtp_password
from posthouse.wire.smtp_reply import Reply, reply

USER, SECRET = "AKIAKNOWN", "secret"
PASSWORD = smtp_password(SECRET, "eu-west-1")
RULES = SubmissionRules(Scope("123456789012", "us-east-1"), ("us-east-1", "eu-west-1"), auth_required=True)
QUICK = Patience(idle_s=0.3, line_s=0.3, body_grace_s=0.3, refused_s=0.3, handshake_s=1.0, farewell_s=0.2)


@dataclass
class Behind:
    """What the door's sessions call, and what they called it with."""

    submitted: list[tuple[Caller, tuple[str, ...], bytes, Envelope]] = field(default_factory=list)
    accepted: list[tuple[Envelope, bytes]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """Set: messages are not answered until it is."""
    error: Exception | None = None
    port: int = 0
    listener: Listener | None = None

    async def find(self, access_key: str) -> Credential | None:
        return Credential(USER, SECRET, "999988887777") if access_key == USER else None

    async def submit(
        self, caller: Caller, mail_from: str, rcpt_to: tuple[str, ...], content: bytes, envelope: Envelope
    ) -> str:
        await self._settle()
        self.submitted.append((caller, rcpt_to, content, envelope))
        return f"out-{len(self.submitted)}"

    def accepts(self, client_ip: str, mail_from: str, rcpt: str) -> Reply | None:
        return reply(550, "mailbox unavailable", "5.1.1") if rcpt.startswith("nobody@") else None

    async def accept(self, envelope: Envelope, content: bytes) -> str:
        await self._settle()
        self.accepted.append((envelope, content))
        return f"in-{len(self.accepted)}"

    async def _settle(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error


def tls_of(directory: Path) -> ssl.SSLContext:
    return server_context(self_signed(directory, "localhost"))


@asynccontextmanager
async def open_door(
    door: Door, behind: Behind, limits: Limits | None = None, guests: Guests | None = None
) -> AsyncIterator[Behind]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        behind.port = bound.getsockname()[1]
        behind.listener = await serve_sockets([bound], door, limits, guests)
        try:
            yield behind
        finally:
            await behind.listener.drain(1.0)


def submission(
    behind: Behind, tls: ssl.SSLContext, *, implicit: bool = False, proxy: bool = False, plain_auth: bool = False
) -> Door:
    offer = submission_offer("mx.example.com", starttls=not implicit, allow_plain_auth=plain_auth)
    failed = FailedLogins()
    return Door(
        offer,
        lambda protocol, peer: SubmissionSession(protocol, peer, RULES, behind, behind.submit, failed),
        tls,
        implicit_tls=implicit,
        proxy_protocol=proxy,
    )


def inbound(
    behind: Behind, tls: ssl.SSLContext | None = None, *, proxy: bool = False, max_size: int = 1_000_000
) -> Door:
    offer = inbound_offer("mx.example.com", starttls=tls is not None, max_size=max_size)
    return Door(
        offer,
        lambda protocol, peer: InboundSession(protocol, peer, behind.accepts, behind.accept),
        tls,
        proxy_protocol=proxy,
    )


class Wire:
    """A client that sends bytes as it likes and reads whole replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def reply(self) -> str:
        """The next reply, its lines joined by ``|``; empty when the server has closed."""
        lines = []
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 5)
            if not line:
                return ""
            lines.append(line.decode().removesuffix("\r\n"))
            if line[3:4] == b" ":
                return "|".join(lines)

    async def ask(self, data: bytes) -> str:
        self.writer.write(data)
        return await self.reply()

    async def rest(self) -> bytes:
        """All until the server closes, or resets what it did not read."""
        try:
            return await asyncio.wait_for(self.reader.read(), 5)
        except ConnectionResetError:
            return b""

    async def begin_data(self) -> None:
        await self.reply()
        await self.ask(b"EHLO x\r\n")
        await self.ask(b"MAIL FROM:<a@b.example>\r\n")
        await self.ask(b"RCPT TO:<c@d.example>\r\n")
        assert (await self.ask(b"DATA\r\n")).startswith("354 ")

    def close(self) -> None:
        self.writer.close()
