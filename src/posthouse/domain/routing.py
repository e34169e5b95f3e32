"""Where a domain's mail goes: the hosts to try, in order.

Source: RFC 5321 §5 (MX, preference, implicit MX), RFC 7505 (null MX). Looking things up is ports.resolver's; this
only orders and judges the answers.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from posthouse.domain.outcomes import Notice


@dataclass(frozen=True, slots=True)
class Hop:
    """One next hop: a host (name or address literal) and port to connect to."""

    host: str
    port: int = 25


@dataclass(frozen=True, slots=True)
class Route:
    """Next hops in the order to try, and how to speak to them."""

    hops: tuple[Hop, ...]
    implicit_tls: bool = False
    lmtp: bool = False
    username: str = ""
    password: str = ""
    capture: bool = False
    """The mail stays here, in the inbox of the console, and goes nowhere."""
    simulator: bool = False
    """The mailbox simulator answers (domain/simulator.py)."""


CAPTURE = Route((), capture=True)
SIMULATOR = Route((), simulator=True)
KEPT = Notice(250, "2.0.0", "Ok: kept in the inbox")
"""What captured mail is answered with, in the place of a server."""

MAX_HOPS = 10
"""Hosts of one domain that are tried in one attempt: a bound for our time, not a rule of the protocol."""

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@\s]+))(?::([0-9]{1,5}))?")
_RELAYS = {"smtp": 25, "smtps": 465, "lmtp": 24}


def parse_hop(text: str, default_port: int = 25) -> Hop:
    """``host``, ``host:port`` or ``[ipv6]:port`` of `delivery.routes`. Raises ValueError."""
    match = _HOST_PORT.fullmatch(text)
    port = int(match[3]) if match and match[3] else default_port
    if not match or not 0 < port < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return Hop((match[1] or match[2]).lower(), port)


def parse_relay(url: str) -> Route:
    """The route of `delivery.relay`: ``smtp://user:secret@host:port``, ``smtps://``, ``lmtp://``. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in _RELAYS or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{parts.scheme}://{parts.hostname} is not an smtp://, smtps:// or lmtp:// URL of a host")
    hop = parse_hop(parts.netloc.rpartition("@")[2], _RELAYS[parts.scheme])
    return Route(
        (hop,),
        implicit_tls=parts.scheme == "smtps",
        lmtp=parts.scheme == "lmtp",
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """What the configuration says about next hops, ahead of any MX."""

    mode: str
    """``capture``, ``direct`` or ``relay``."""
    routes: Mapping[str, Hop]
    """By recipient domain, lower case; ``*`` for all others."""
    relay: Route | None = None
    simulators: frozenset[str] = frozenset()
    """Domains of the mailbox simulator: their mail never leaves, whatever the routes say."""

    def fixed(self, domain: str) -> Route | None:
        """The route that needs no lookup; None: ask the MX records of the domain."""
        if domain in self.simulators:
            return SIMULATOR
        hop = self.routes.get(domain) or self.routes.get("*")
        if hop is not None:
            return Route((hop,))
        if self.mode == "capture":
            return CAPTURE
        return self.relay if self.mode == "relay" else None

    @property
    def captures_all(self) -> bool:
        """No mail leaves, whoever it is for."""
        return self.mode == "capture" and not self.routes

    def destination(self, domain: str) -> str:
        """A name for where the domain's mail goes: domains with the same one share connections and transactions."""
        if domain in self.simulators:
            return "mailbox simulator"
        hop = self.routes.get(domain) or self.routes.get("*")
        if hop is not None:
            return f"route {hop.host}:{hop.port}"
        return domain if self.mode == "direct" else self.mode


def address_literal(domain: str) -> str | None:
    """The address of a domain like ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 §4.1.3); None for a name."""
    if not domain.startswith("[") or not domain.endswith("]"):
        return None
    return domain[1:-1].lower().removeprefix("ipv6:")


def no_answer(domain: str) -> Notice:
    """For a domain that cannot be looked up or does not exist: SES keeps trying such domains (developer guide), and
    prints this (observed in the text of expired messages)."""
    return Notice(421, "4.4.0", f"Unable to lookup DNS for {domain}")


def order_exchangers(
    domain: str,
    exchangers: Iterable[tuple[int, str]],
    own_hosts: frozenset[str],
    shuffle: Callable[[list[str]], None],
) -> tuple[Hop, ...] | Notice:
    """Hops for the (preference, host) pairs of a domain's MX answer, or why there are none.

    An empty answer means the domain itself (RFC 5321 §5.1: implicit MX). Equal preference is put in random order by
    `shuffle`. `own_hosts` are names of this server: hosts as far away as itself, or farther, would only send the mail
    back here (same section).
    """
    by_preference: dict[int, list[str]] = {}
    for preference, host in exchangers:
        by_preference.setdefault(preference, []).append(host)
    if not by_preference:
        return (Hop(domain),)
    if all(host == "" for hosts in by_preference.values() for host in hosts):
        return Notice(556, "5.1.10", f"Domain {domain} does not accept mail (null MX)")
    hops: list[Hop] = []
    for preference in sorted(by_preference):
        hosts = [host for host in by_preference[preference] if host]
        if not own_hosts.isdisjoint(hosts):
            break
        shuffle(hosts)
        hops += [Hop(host) for host in hosts]
    if not hops:
        return Notice(554, "5.4.6", f"Mail for {domain} loops back to this server")
    return tuple(hops[:MAX_HOPS])
