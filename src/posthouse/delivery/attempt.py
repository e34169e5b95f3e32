"""One attempt to deliver one message to one destination: which hosts, in which order, and what they said."""

import ipaddress
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableSequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from posthouse.delivery.session import Failure, Session, Target, open_session
from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.outcomes import Notice, Reply, reply_line
from posthouse.domain.routing import Hop, Route, address_literal, no_answer, order_exchangers
from posthouse.ports.clock import Clock
from posthouse.ports.network import Network
from posthouse.ports.resolver import LookupFailed, Resolver
from posthouse.wire.smtp_transaction import Answer, Envelope, Finished, Stage

MAX_TARGETS = 10
"""Addresses tried in one attempt: a dead domain with many of them must not hold a connection slot for long."""
MAX_CONVERSATION = 400


class Random(Protocol):
    """The part of random.Random that is used here."""

    def shuffle(self, x: MutableSequence[str], /) -> None: ...
    def random(self) -> float: ...


@dataclass(slots=True)
class Attempt:
    """What came of it. A reply for every recipient, and who was spoken to last."""

    started_ms: int
    ended_ms: int = 0
    replies: dict[str, Reply] = field(default_factory=dict)
    host: str = ""
    ip: str = ""
    tls: str = ""
    tls_cipher: str = ""
    tls_verified: bool = False
    conversation: list[str] = field(default_factory=list)
    unreachable: Reply | None = None
    """Why no host took even a hello."""

    def note(self, line: str) -> None:
        self.conversation.append(f"* {line}")

    @property
    def took_any(self) -> bool:
        """A server took the message for at least one recipient."""
        return any(reply.code < 300 for reply in self.replies.values())

    def with_host(self, session: Session) -> None:
        self.host, self.ip = session.target.host, session.target.ip
        tls = session.stream.tls
        if tls is not None:
            self.tls, self.tls_cipher, self.tls_verified = tls.version, tls.cipher, tls.verified


class Offer(NamedTuple):
    """What is to be delivered in one attempt."""

    domain: str
    route: Route | None
    """None: by the MX records of the domain."""
    envelope: Envelope
    require_tls: bool = False
    in_seven_bits: Callable[[], Awaitable[bytes | None]] | None = None
    """Makes the content anew for a server without 8BITMIME; None comes of it where that cannot be."""


class Attempts:
    """Makes attempts with the network, resolver and settings of one worker."""

    def __init__(
        self,
        network: Network,
        resolver: Resolver,
        settings: DeliverySettings,
        clock: Clock,
        random: Random,
    ) -> None:
        self._network = network
        self._resolver = resolver
        self._settings = settings
        self._clock = clock
        self._random = random
        self._source_turn = 0

    async def attempt(self, offer: Offer, session: Session | None) -> tuple[Attempt, Session | None]:
        """Tries a kept session first, if there is one, then the hops in order. Returns the session to be kept."""
        report = Attempt(self._clock.now_ms())
        avoid: Target | None = None
        if session is not None:
            left, avoid, good = await self._by_kept(offer, session, report)
            if good and not left:
                return self._ended(report), session
            session.quit()
            if not left:
                return self._ended(report), None
            offer = _for_others(offer, left)
        session = await self._by_hops(offer, avoid, report)
        return self._ended(report), session

    def _ended(self, report: Attempt) -> Attempt:
        report.ended_ms = self._clock.now_ms()
        del report.conversation[MAX_CONVERSATION:]
        return report

    async def _by_kept(
        self, offer: Offer, session: Session, report: Attempt
    ) -> tuple[tuple[str, ...], Target | None, bool]:
        """Recipients that want another connection, the host they do not want, and whether this one is still good."""
        if offer.require_tls and not session.secure:
            report.note("kept connection is not encrypted, and the message must not leave in the clear")
            return offer.envelope.recipients, None, True
        finished = await self._transact(offer, session, report)
        if not finished.reusable and all(a.stage in (Stage.RSET, Stage.MAIL) for a in finished.answers):
            # Closed while it was idle, before it heard of this message: that is no attempt.
            report.note("kept connection had ended, opening a new one")
            return offer.envelope.recipients, None, False
        return self._take(finished, report), session.target, finished.reusable

    async def _by_hops(self, offer: Offer, avoid: Target | None, report: Attempt) -> Session | None:
        """Goes through the hosts until every recipient has an answer that another host would not change."""
        failures: list[Failure] = []
        reached = avoid is not None
        async with aclosing(self._targets(offer, report)) as targets:
            async for target in targets:
                if isinstance(target, Failure):
                    failures.append(target)
                    continue
                if target == avoid:
                    continue
                session = await self._open(offer, target, report)
                if isinstance(session, Failure):
                    failures.append(session)
                    continue
                reached = True
                finished = await self._transact(offer, session, report)
                left = self._take(finished, report)
                if finished.reusable and not left:
                    return session
                session.quit()
                if not left:
                    return None
                offer = _for_others(offer, left)
        if not reached:
            self._no_host(offer, failures, report)
        return None

    def _no_host(self, offer: Offer, failures: list[Failure], report: Attempt) -> None:
        if not failures:
            failures = [Failure(Stage.CONNECT, no_answer(offer.domain))]
        # A host that fails for now may take the message later, so its word counts before a refusal for good.
        decisive = next((f for f in reversed(failures) if f.reply.code < 500), failures[-1])
        if decisive.stage is not Stage.STARTTLS:  # that is about this message's wish, others have another
            report.unreachable = decisive.reply
        report.replies.update(dict.fromkeys(offer.envelope.recipients, decisive.reply))

    async def _transact(self, offer: Offer, session: Session, report: Attempt) -> Finished:
        envelope = offer.envelope
        try:
            if envelope.eight_bit and "8BITMIME" not in session.protocol.extensions:
                envelope = await self._in_seven_bits(offer, report)
            finished = await session.transact(envelope)
        except BaseException:
            session.stream.close()
            raise
        report.with_host(session)
        report.conversation += session.protocol.take_conversation()
        return finished

    async def _in_seven_bits(self, offer: Offer, report: Attempt) -> Envelope:
        """RFC 6152 section 3: to a server that does not offer 8BITMIME a message goes in seven bits or not at all.

        One that must not be touched goes as it is all the same: nearly every server takes it in spite of its offer.
        """
        content = await offer.in_seven_bits() if offer.in_seven_bits is not None else None
        if content is None:
            report.note("no 8BITMIME offered, and the message cannot be put into seven bits: sent as it is")
            return offer.envelope
        report.note("no 8BITMIME offered: message put into seven bits and signed again")
        return Envelope(offer.envelope.mail_from, offer.envelope.recipients, content)

    def _take(self, finished: Finished, report: Attempt) -> tuple[str, ...]:
        """Notes the answers; returns the recipients for whom another host may have a better one."""
        for answer in finished.answers:
            report.replies[answer.recipient] = answer.reply
        return tuple([a.recipient for a in finished.answers if _another_host_may_help(a)])

    async def _open(self, offer: Offer, target: Target, report: Attempt) -> Session | Failure:
        route = offer.route or _BY_MX
        source_ip = self._source_ip(target.ip)
        if source_ip is None:
            return Failure(Stage.CONNECT, Notice(421, "4.4.1", f"No source address to reach {target} from"))
        log = report.conversation
        opened = await open_session(self._network, self._settings, target, route, source_ip=source_ip, conversation=log)
        if isinstance(opened, Failure) and opened.stage is Stage.STARTTLS and not offer.require_tls:
            # RFC 7435: encryption where it works. Broken TLS is no reason not to deliver what would have gone in the
            # clear to a server without any.
            report.note("TLS failed, trying without")
            opened = await open_session(
                self._network, self._settings, target, route, source_ip=source_ip, start_tls=False, conversation=log
            )
        if isinstance(opened, Session) and offer.require_tls and not opened.secure:
            log += opened.protocol.take_conversation()
            opened.quit()
            return Failure(Stage.STARTTLS, Notice(550, "5.7.10", f"TLS is required, but {target.host} offers none"))
        if isinstance(opened, Failure):
            report.host, report.ip = target.host, target.ip
        return opened

    def _source_ip(self, target_ip: str) -> str | None:
        """The next of our addresses in the target's family; empty: whichever the system takes; None: there is none."""
        if not self._settings.source_ips:
            return ""
        fitting = [ip for ip in self._settings.source_ips if (":" in ip) == (":" in target_ip)]
        if not fitting:
            return None
        self._source_turn += 1
        return fitting[self._source_turn % len(fitting)]

    # -- where to

    async def _targets(self, offer: Offer, report: Attempt) -> AsyncGenerator[Target | Failure, None]:
        """Addresses in the order to try; a failure where there is none. Looked up only when their turn comes."""
        hops = await self._hops(offer)
        if isinstance(hops, Notice):
            report.note(reply_line(hops))
            yield Failure(Stage.CONNECT, hops)
            return
        count = 0
        for hop in hops:
            found = await self._addresses(hop.host)
            if isinstance(found, Notice):
                report.note(f"{hop.host}: {reply_line(found)}")
                yield Failure(Stage.CONNECT, found)
                continue
            for ip in found:
                count += 1
                if count > MAX_TARGETS:
                    return
                yield Target(hop.host, ip, hop.port)

    async def _hops(self, offer: Offer) -> tuple[Hop, ...] | Notice:
        if offer.route is not None:
            return offer.route.hops
        literal = address_literal(offer.domain)
        if literal is not None:
            return (Hop(literal),)
        found = await self._resolver.mx(offer.domain)
        if not isinstance(found, tuple):
            return no_answer(offer.domain)
        pairs = [(mx.preference, mx.host) for mx in found]
        return order_exchangers(offer.domain, pairs, self._settings.own_hosts, self._random.shuffle)

    async def _addresses(self, host: str) -> tuple[str, ...] | Notice:
        try:
            return (str(ipaddress.ip_address(host)),)
        except ValueError:
            found = await self._resolver.addresses(host)
        if isinstance(found, tuple) and found:
            return found
        reason = f" ({found.reason})" if isinstance(found, LookupFailed) else ""
        notice = no_answer(host)
        return Notice(notice.code, notice.enhanced, notice.text + reason)


_BY_MX = Route(())


def _for_others(offer: Offer, recipients: tuple[str, ...]) -> Offer:
    envelope = offer.envelope
    if recipients == envelope.recipients:
        return offer
    fewer = Envelope(envelope.mail_from, recipients, envelope.content, envelope.eight_bit)
    return offer._replace(envelope=fewer)


def _another_host_may_help(answer: Answer) -> bool:
    """The host refused for now before it looked at the recipient, or left in the midst.

    Not after the final dot: it may have taken the message, and a second host would deliver it again.
    """
    if answer.stage in (Stage.RSET, Stage.MAIL):
        return answer.reply.temporary
    return answer.stage in (Stage.RCPT, Stage.DATA) and answer.reply.code == 421
