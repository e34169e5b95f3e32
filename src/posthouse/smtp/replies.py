"""Errors as SMTP replies (SES reference 23.4; "SMTP response codes returned by Amazon SES" in the developer guide).

Replies with a text of SES carry no enhanced status code although ENHANCEDSTATUSCODES is announced: the text of SES is
what clients match on (`250 Ok <message-id>` is fixed by our contract), and RFC 2034 clients live with its absence.
"""

import logging

from posthouse.model.errors import ServiceError
from posthouse.ports.stores import StoreUnavailable
from posthouse.wire.smtp_body import TOO_LONG
from posthouse.wire.smtp_reply import Reply, reply

log = logging.getLogger("posthouse.smtp")

OK = reply(250, "Ok")
TIMEOUT = reply(451, "Timeout waiting for data from client.", "4.4.2")
SHUTTING_DOWN = reply(421, "Service shutting down, try again later", "4.3.2")
TOO_MANY_CONNECTIONS = reply(421, "Too many concurrent SMTP connections")
MAKE_WAY = reply(421, "Too many connections, and this one is idle: come again", "4.3.2")
NO_ROOM = reply(452, "Insufficient system storage, try again later", "4.3.1")
INTERNAL_ERROR = reply(451, "Temporary service failure", "4.0.0")
AUTHENTICATED = reply(235, "Authentication successful.")
CREDENTIALS_INVALID = reply(535, "Authentication Credentials Invalid")
AUTHENTICATION_REQUIRED = reply(530, "Authentication required")
CANNOT_AUTHENTICATE_NOW = reply(454, "Temporary authentication failure")
# Observed at SES, the first one also for the null path: bounces of a mail server cannot be relayed through it.
INVALID_SENDER = reply(501, "Invalid MAIL FROM address provided")
INVALID_RECIPIENT = reply(501, "Invalid RCPT TO address provided")

_LONGEST = 1000
"""Characters of an error's text; RFC 5321 4.5.3.1.5 asks for 512 octets a line, SES itself sends longer ones."""

_MAIL_FROM_ERRORS = ("MailFromDomainNotVerifiedException", "MailFromDomainNotVerified")


def accepted(message_id: str) -> Reply:
    """The message is ours now."""
    return reply(250, f"Ok {message_id}")


def store_unavailable(error: StoreUnavailable) -> Reply:
    """The message was not taken, and may be sent again."""
    log.error("the store is unavailable: %s", error)
    return INTERNAL_ERROR


def of_error(error: ServiceError) -> Reply:
    """How the interface of SES tells an SMTP client what the API would have answered with `error`."""
    code, message = error.code, error.message[:_LONGEST]
    if code == "Throttling":
        return reply(454, f"Throttling failure: {message.removesuffix('.')}")
    if error.http_status >= 500:
        return INTERNAL_ERROR
    if message.startswith("Message length is more than"):
        return TOO_LONG
    if code in _MAIL_FROM_ERRORS:
        return reply(554, message)
    return reply(554, f"{_PREFIXES.get(code, 'Transaction failed')}: {message}")


_PREFIXES = {"MessageRejected": "Message rejected", "AccessDenied": "Access denied"}
