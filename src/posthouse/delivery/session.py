"""One connection to a mail server: the shell around wire/smtp_client that gives it a stream and deadlines."""

import asyncio
import ipaddress
from dataclasses import dataclass

from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.outcomes import Notice, Reply, reply_line
from posthouse.domain.routing import Route
from posthouse.ports.network import ConnectFailed, Disconnected, Network, Stream
from posthouse.wire.smtp_client import ClientProtocol
from posthouse.wire.smtp_reply import reply
from posthouse.wire.smtp_transaction import Envelope, Event, Failed, Finished, Stage, StartTls

PIECE = 1 << 18
"""Octets of a large message written before looking whether the peer keeps up."""


@dataclass(frozen=True, slots=True)
class Target:
    """One address of one hop."""

    host: str
    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.ip}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Failure:
    """No session: at which stage it failed, and the reply (theirs or ours) that says why."""

    stage: Stage
    reply: Reply


class Session:
    """A server that has said hello and takes transactions."""

    def __init__(self, target: Target, stream: Stream, protocol: ClientProtocol, settings: DeliverySettings) -> None:
        self.target = target
        self.stream = stream
        self.protocol = protocol
        self.used = 0
        """Transactions so far."""
        self.settings = settings

    @property
    def secure(self) -> bool:
        return self.stream.tls is not None

    async def transact(self, envelope: Envelope) -> Finished:
        """Offers the message; every recipient gets an answer, whatever happens to the connection."""
        self.used += 1
        self.protocol.send(envelope)
        event = await self.converse()
        assert isinstance(event, Finished)  # `send` leads to nothing else
        return event

    async def converse(self) -> Event:
        """Sends and hears until the protocol has come to something."""
        protocol, stream = self.protocol, self.stream
        loop = asyncio.get_running_loop()
        heard, deadline = -1, 0.0
        while True:
            try:
                data = protocol.data_to_send()
                if len(data) > PIECE:
                    await self._write_large(data)
                elif data:
                    stream.write(data)
                event = protocol.next_event()
                if event is not None:
                    return event
                if protocol.replies != heard:
                    heard = protocol.replies
                    deadline = loop.time() + self._timeout_s(protocol.stage)
                received = await stream.read(max(0.0, deadline - loop.time()))
            except Disconnected as lost:
                return self._after_loss(lost)
            protocol.receive(received)

    def _after_loss(self, lost: Disconnected) -> Event:
        protocol = self.protocol
        protocol.lost(f"Conversation with {self.target.host} ended while waiting for {protocol.stage}: {lost}")
        event = protocol.next_event()
        assert event is not None  # what was waited for has come to its end
        return event

    async def _write_large(self, data: bytes) -> None:
        try:
            for at in range(0, len(data), PIECE):
                self.stream.write(data[at : at + PIECE])
                await self.stream.drain(self.settings.data_timeout_s)
        except Disconnected:
            # A server that refuses a message before its end says so, then closes: its words decide, if there are any.
            self.protocol.receive(await self.stream.read(0))

    def _timeout_s(self, stage: Stage) -> float:
        if stage is Stage.BODY:
            return self.settings.data_timeout_s
        return self.settings.greeting_timeout_s if stage is Stage.GREETING else self.settings.command_timeout_s

    def quit(self) -> None:
        """Says goodbye and closes. The answer is not waited for: nothing depends on it, and it may never come."""
        self.protocol.quit()
        data = self.protocol.data_to_send()
        if data:
            self.stream.write(data)
        self.stream.close()


async def open_session(
    network: Network,
    settings: DeliverySettings,
    target: Target,
    route: Route,
    *,
    source_ip: str = "",
    start_tls: bool = True,
    conversation: list[str],
) -> Session | Failure:
    """Connects, says hello, makes the connection safe where the server offers it, and logs in where the route says so.

    What is said goes to `conversation`, unless a session comes of it: then it stays there for its first transaction.
    """
    conversation.append(f"* connecting to {target}")
    try:
        stream = await network.connect(
            target.ip,
            target.port,
            source_ip=source_ip,
            tls_host=target.host if route.implicit_tls else "",
            timeout_s=settings.connect_timeout_s,
        )
    except ConnectFailed as error:
        reason = Notice(421, "4.4.1", f"Unable to connect to {target}: {error}")
        conversation.append(f"* {error}")
        return Failure(Stage.CONNECT, reason)
    session = Session(target, stream, ClientProtocol(settings.hostname, lmtp=route.lmtp), settings)
    try:
        failure = await _introduce(session, route, start_tls)
    except BaseException:
        stream.close()
        raise
    if failure is None:
        return session
    conversation += session.protocol.take_conversation()
    session.quit()
    return failure


async def _introduce(session: Session, route: Route, start_tls: bool) -> Failure | None:
    event = await session.converse()
    offered = "STARTTLS" in session.protocol.extensions
    if offered and start_tls and not session.secure and not isinstance(event, Failed):
        event = await _start_tls(session)
    tls = session.stream.tls
    if tls is not None:
        proof = "verified" if tls.verified else "not verified"
        session.protocol.conversation.append(f"* {tls.version} {tls.cipher}, certificate {proof}")
    if route.username and not isinstance(event, Failed):
        event = await _log_in(session, route)
    return Failure(event.stage, event.reply) if isinstance(event, Failed) else None


async def _start_tls(session: Session) -> Event:
    protocol = session.protocol
    protocol.start_tls()
    event = await session.converse()
    if not isinstance(event, StartTls):
        return event
    try:
        await session.stream.start_tls(session.target.host, session.settings.command_timeout_s)
    except ConnectFailed as error:
        protocol.lost(str(error))
        return Failed(Stage.STARTTLS, reply(454, str(error), "4.7.5"))
    protocol.tls_started()
    return await session.converse()


async def _log_in(session: Session, route: Route) -> Event:
    if not session.secure and not _is_loopback(session.target.ip):
        # Whoever sits between could take STARTTLS out of the offer and then read the secret.
        return Failed(Stage.AUTH, reply(454, "Relay offers no TLS: credentials are not sent in the clear", "4.7.0"))
    session.protocol.authenticate(route.username, route.password)
    event = await session.converse()
    if isinstance(event, Failed) and event.reply.permanent:
        # Our credentials are wrong, not the message: the operator can mend that while it waits.
        return Failed(Stage.AUTH, reply(454, f"Relay refused our login: {reply_line(event.reply)}", "4.7.8"))
    return event


def _is_loopback(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return False
