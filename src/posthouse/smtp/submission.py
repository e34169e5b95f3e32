"""The submission door: SES's SMTP interface (SES reference 23; RFC 6409 where that is silent)."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from posthouse.domain.scope import Caller, Scope
from posthouse.model.errors import ServiceError
from posthouse.ports.credentials import Credentials
from posthouse.ports.stores import StoreUnavailable
from posthouse.smtp import replies
from posthouse.smtp.envelope import Envelope, Peer, envelope_of
from posthouse.smtp.failed_logins import FailedLogins
from posthouse.wire.smtp_events import Login, Mail, Message, Question, Rcpt
from posthouse.wire.smtp_password import region_of
from posthouse.wire.smtp_reply import Reply
from posthouse.wire.smtp_server import TLS_FIRST, Offer, ServerProtocol

MAX_SIZE = 10_485_760
"""Octets of a message (SES reference 10.2)."""

Submit = Callable[[Caller, str, tuple[str, ...], bytes, Envelope], Awaitable[str]]
"""(caller, mail_from, rcpt_to, content, envelope) -> message id, once the message is durable. Raises ServiceError."""

_ACCOUNT_ID = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class SubmissionRules:
    """Who may submit here, and for whom."""

    default_scope: Scope
    """Whose mail it is where nobody logged in, or (open) an unknown user did."""
    regions: tuple[str, ...]
    """Where a password may be from."""
    auth_required: bool
    """False: logging in is optional and every user and password is good (`auth.mode = open`)."""


def submission_offer(hostname: str, *, starttls: bool, allow_plain_auth: bool, max_size: int = MAX_SIZE) -> Offer:
    """What the submission door announces. `allow_plain_auth`: AUTH is offered before TLS too (dev profile only)."""
    return Offer(
        hostname=hostname,
        max_size=max_size,
        starttls=starttls,
        auth="always" if allow_plain_auth else "over_tls",
        invalid_sender=replies.INVALID_SENDER,
        invalid_recipient=replies.INVALID_RECIPIENT,
    )


class SubmissionSession:
    """Answers one client of the submission door."""

    def __init__(
        self,
        protocol: ServerProtocol,
        peer: Peer,
        rules: SubmissionRules,
        credentials: Credentials,
        submit: Submit,
        failed_logins: FailedLogins,
    ) -> None:
        self._protocol, self._peer, self._rules = protocol, peer, rules
        self._credentials, self._submit, self._failed_logins = credentials, submit, failed_logins
        self._logged_in: Caller | None = None

    def answer(self, question: Question) -> Reply | Awaitable[Reply]:
        """At once for an envelope: SES judges addresses and rights at the end of DATA, not before."""
        match question:
            case Mail():
                return replies.OK if self._caller is not None else self._login_first
            case Rcpt():
                return replies.OK
            case Message():
                return self._take(question)
            case Login():
                return self._log_in(question)

    @property
    def _caller(self) -> Caller | None:
        """Whose mail it is. A login from before STARTTLS is forgotten, as all that was said then (RFC 3207 4.2)."""
        if self._protocol.user:
            return self._logged_in
        return None if self._rules.auth_required else Caller(self._rules.default_scope, "", self._peer.client_ip)

    @property
    def _login_first(self) -> Reply:
        in_the_clear = self._protocol.offer.auth == "over_tls" and not self._protocol.tls
        return TLS_FIRST if in_the_clear else replies.AUTHENTICATION_REQUIRED

    async def _take(self, message: Message) -> Reply:
        caller = self._caller
        assert caller is not None  # MAIL was refused otherwise
        envelope = envelope_of(message, self._protocol, self._peer)
        try:
            message_id = await self._submit(caller, envelope.mail_from, envelope.rcpt_to, message.content, envelope)
        except ServiceError as error:
            return replies.of_error(error)
        except StoreUnavailable as error:
            return replies.store_unavailable(error)
        return replies.accepted(message_id)

    async def _log_in(self, login: Login) -> Reply:
        try:
            scope = await self._scope_of(login)
        except StoreUnavailable as error:
            replies.store_unavailable(error)
            return replies.CANNOT_AUTHENTICATE_NOW
        if scope is None or login.authorization_id not in ("", login.user):
            await asyncio.sleep(self._failed_logins.note(self._peer.client_ip, time.monotonic()))
            return replies.CREDENTIALS_INVALID
        self._logged_in = Caller(scope, login.user, self._peer.client_ip)
        return replies.AUTHENTICATED

    async def _scope_of(self, login: Login) -> Scope | None:
        """The account and region the credentials are for; None where they are for none."""
        rules = self._rules
        credential = await self._credentials.find(login.user)
        # The work is the same for an unknown user, so that the time does not tell which users exist. Temporary
        # credentials have no SMTP password (SES reference 23.2).
        known = credential is not None and credential.session_token is None
        secret = credential.secret_key if credential is not None and known else "unknown"
        region = region_of(login.password, secret, rules.regions)
        if credential is not None and known and region is not None:
            return Scope(credential.account, region)
        if rules.auth_required:
            return None
        account = login.user if _ACCOUNT_ID.fullmatch(login.user) else rules.default_scope.account
        return Scope(account, rules.default_scope.region)
