"""What assembly hands to this door."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from posthouse.domain.accounts import AccountDefaults
from posthouse.domain.scope import Scope
from posthouse.domain.verification import Links
from posthouse.mail.tracking_tokens import TrackingTokens
from posthouse.operations.subscriptions import Subscribing
from posthouse.ports.clock import Clock
from posthouse.ports.stores import Stores
from posthouse.ports.wakeups import Wakeups

if TYPE_CHECKING:
    from posthouse.receiving.accept import ReceivingContext


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """Everything the console and the admin API need; nothing here is read from anywhere else."""

    stores: Stores
    wakeups: Wakeups
    clock: Clock
    ready: Callable[[], bool]
    """True while every role of this process serves."""
    metrics: Callable[[], str | Awaitable[str]]
    """The text of /metrics."""
    version: str
    login_required: bool
    """``auth.mode = strict``."""
    session_key: bytes
    """Signs session cookies and form tokens; the same in every process of an installation."""
    subscribing: Subscribing
    """Manages subscribers of the embedded stand-in's topics."""
    links: Links
    """Reads the links of verification mail."""
    tracking: TrackingTokens
    """Reads tracked links and pixels."""
    receiving: "Callable[[], ReceivingContext] | None" = None
    """By which mail is tried out; None: it cannot be."""
    max_inbound: int = 40 * 1024 * 1024
    """``receiving.max_size``."""
    default_scope: Scope
    account_defaults: AccountDefaults
    service_domain: str
    """``identities.service_domain``: where DKIM keys are published."""
    keep_addresses: bool = True
    """``tracking.keep_addresses``: who opens a mail or follows a link is kept with his address and user agent."""
    trusted_proxies: tuple[str, ...] = ()
    """``http.trusted_proxies``."""
    public_hosts: frozenset[str] = frozenset()
    """Lower-case host names, without port, under which this server is meant to be reached."""
    http_endpoint: str = "http://127.0.0.1:8025"
    """Shown to people who want to point an SDK here."""
    smtp_endpoint: str = "127.0.0.1:1025"
    require_rule: bool = False
    """``receiving.require_rule``."""
    forwards: bool = False
    """Bounces and complaints can be told by mail."""
    capturing: bool = False
    """``delivery.mode = capture``: said in the console, so that nobody waits for a mail to leave."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process drains: streams and waits end at once instead of holding it up."""
