"""A mail server as the mail store: LMTP (RFC 2033), which answers for each recipient, or SMTP.

One connection for each mail: the server is near, and there are few. TLS is used where it is offered.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Mapping, Sequence

from posthouse.domain.routing import Route
from posthouse.ports.mail_stores import MailboxRefused, NotNow, Stored, StoreOutcome
from posthouse.ports.network import ConnectFailed, Disconnected, Network, Stream
from posthouse.ports.resolver import LookupFailed, NoSuchName, Resolver
from posthouse.wire.smtp_client import ClientProtocol
from posthouse.wire.smtp_reply import Reply, reply
from posthouse.wire.smtp_transaction import Envelope, Event, Failed, Finished, Stage, StartTls

CONNECT_S = 10.0
ANSWER_S = 60.0
"""For each reply; a server may scan a mail before it takes it."""
TOTAL_S = 600.0
PIECE = 1 << 18
"""Octets of a large mail written before looking whether the server keeps up."""

log = logging.getLogger("posthouse.mail_store")


class MailServer:
    """ports.mail_stores.MailStore by LMTP or SMTP."""

    def __init__(self, network: Network, resolver: Resolver, route: Route, hostname: str) -> None:
        """`route`: its first hop, protocol and login. `hostname`: what we call ourselves."""
        self._network, self._resolver = network, resolver
        self._route, self._hop = route, route.hops[0]
        self._hostname = hostname

    async def deliver(
        self, message_id: str, mail_from: str, recipients: Sequence[str], content: bytes
    ) -> Mapping[str, StoreOutcome]:
        content = _without_return_path(content)
        envelope = Envelope(mail_from, tuple(recipients), content, eight_bit=not content.isascii())
        try:
            async with asyncio.timeout(TOTAL_S):
                event = await self._offer(envelope)
        except (ConnectFailed, Disconnected) as error:
            return self._none(recipients, str(error))
        except TimeoutError:
            return self._none(recipients, f"not done within {TOTAL_S:g} s")
        if isinstance(event, Finished):
            return {answer.recipient: _outcome(answer.reply) for answer in event.answers}
        return self._none(recipients, str(event.reply))

    def _none(self, recipients: Sequence[str], reason: str) -> dict[str, StoreOutcome]:
        log.warning("the mail store %s:%d took no mail: %s", self._hop.host, self._hop.port, reason)
        return dict.fromkeys(recipients, NotNow(reason))

    async def _offer(self, envelope: Envelope) -> Finished | Failed:
        """Raises ConnectFailed and Disconnected for a server that is not there, or goes."""
        stream = await self._network.connect(await self._address(), self._hop.port, timeout_s=CONNECT_S)
        try:
            protocol = ClientProtocol(self._hostname, lmtp=self._route.lmtp)
            event = await _converse(protocol, stream)
            if "STARTTLS" in protocol.extensions and not isinstance(event, Failed):
                event = await self._start_tls(protocol, stream)
            if self._route.username and not isinstance(event, Failed):
                event = await self._log_in(protocol, stream)
            if isinstance(event, Failed):
                return event
            protocol.send(envelope)
            finished = await _converse(protocol, stream)
            protocol.quit()
            stream.write(protocol.data_to_send())
        finally:
            stream.close()
        assert isinstance(finished, Finished | Failed)  # `send` leads to nothing else
        return finished

    async def _start_tls(self, protocol: ClientProtocol, stream: Stream) -> Event:
        protocol.start_tls()
        event = await _converse(protocol, stream)
        if not isinstance(event, StartTls):
            return event
        await stream.start_tls(self._hop.host, ANSWER_S)
        protocol.tls_started()
        return await _converse(protocol, stream)

    async def _log_in(self, protocol: ClientProtocol, stream: Stream) -> Event:
        if stream.tls is None and not ipaddress.ip_address(stream.peer_ip).is_loopback:
            # Whoever sits between could take STARTTLS out of the offer and then read the secret.
            return Failed(Stage.AUTH, reply(454, "No TLS: credentials are not sent in the clear", "4.7.0"))
        protocol.authenticate(self._route.username, self._route.password)
        return await _converse(protocol, stream)

    async def _address(self) -> str:
        """Raises ConnectFailed for a host without one."""
        host = self._hop.host
        if _is_address(host):
            return host
        found = await self._resolver.addresses(host)
        if isinstance(found, NoSuchName | LookupFailed) or not found:
            raise ConnectFailed(f"{host} has no address")
        return found[0]

    async def close(self) -> None:
        """Nothing is held open."""


async def _converse(protocol: ClientProtocol, stream: Stream) -> Event:
    """Sends and hears until the protocol has come to something. Raises Disconnected while it is still sending."""
    while True:
        data = protocol.data_to_send()
        for at in range(0, len(data), PIECE):
            stream.write(data[at : at + PIECE])
            await stream.drain(ANSWER_S)
        event = protocol.next_event()
        if event is not None:
            return event
        try:
            protocol.receive(await stream.read(ANSWER_S))
        except Disconnected as lost:
            # Those that were answered before have their answer.
            protocol.lost(str(lost))


def _without_return_path(content: bytes) -> bytes:
    """Who delivers a mail at last writes it, and there shall be one (RFC 5321 section 4.4)."""
    first, _, rest = content.partition(b"\r\n")
    return rest if first.lower().startswith(b"return-path:") and not rest.startswith((b" ", b"\t")) else content


def _outcome(heard: Reply) -> StoreOutcome:
    if heard.ok:
        return Stored()
    return MailboxRefused(str(heard)) if heard.permanent else NotNow(str(heard))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
