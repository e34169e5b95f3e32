"""The clients of `posthouse send` and `posthouse doctor`: our own API and SMTP doors, seen from outside."""

import html
import http.client
import re
import smtplib
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import digest
from urllib.parse import urlencode

from posthouse.cli.failure import Failed
from posthouse.config import Listen
from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.messages import Draft, Text
from posthouse.mail.charsets import Unencodable
from posthouse.mail.compose import compose
from posthouse.model.errors import ServiceError
from posthouse.wire import sigv4
from posthouse.wire.smtp_password import smtp_password

TIMEOUT_S = 30.0
_LONGEST_ANSWER = 1 << 20
_CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_MESSAGE_ID = re.compile(r"<MessageId>([^<]{1,200})</MessageId>")
_ERROR = re.compile(r"<Code>([^<]*)</Code>\s*(?:<Message>([^<]*)</Message>)?")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 looked up, not bound


@dataclass(frozen=True, slots=True)
class Target:
    """A door and who knocks."""

    scheme: str
    """``http``, ``https``, ``smtp`` or ``smtps``."""
    at: Listen
    access_key: str
    secret_key: str
    region: str
    checked: bool
    """TLS certificates have to be valid for the host."""


def reachable(at: Listen) -> Listen:
    """Where a listener is reached from this machine."""
    return Listen(_ANYWHERE.get(at.host, at.host), at.port)


def tls_context(checked: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# -- the API


def send_by_api(target: Target, draft: Draft) -> str:
    """The message id of SendEmail. Raises Failed with the answer's code and text."""
    body = urlencode(form(draft)).encode()
    headers = signed_headers(target, body, time.time_ns() // 1_000_000)
    if target.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            *target.at, timeout=TIMEOUT_S, context=tls_context(target.checked)
        )
    else:
        connection = http.client.HTTPConnection(*target.at, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        answer = response.read(_LONGEST_ANSWER).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{target.at}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if found := _MESSAGE_ID.search(answer):
        return html.unescape(found[1])
    error_told = _ERROR.search(answer)
    said = f"{error_told[1]}: {error_told[2] or ''}" if error_told else f"no answer of the SES API: {answer[:200]!r}"
    raise Failed(f"{target.at} answered {response.status} {html.unescape(said)}")


def form(draft: Draft) -> list[tuple[str, str]]:
    """SendEmail's parameters (API reference)."""
    fields = [("Action", "SendEmail"), ("Version", "2010-12-01"), ("Source", draft.source)]
    for name, addresses in (("To", draft.to), ("Cc", draft.cc), ("Bcc", draft.bcc)):
        fields += _members(f"Destination.{name}Addresses", addresses)
    fields += _content("Message.Subject", draft.subject)
    for name, part in (("Text", draft.text), ("Html", draft.html)):
        fields += _content(f"Message.Body.{name}", part) if part is not None else []
    return fields


def _members(name: str, values: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"{name}.member.{number}", value) for number, value in enumerate(values, 1)]


def _content(name: str, part: Text) -> list[tuple[str, str]]:
    return [(f"{name}.Data", part.data), *([(f"{name}.Charset", part.charset)] if part.charset else [])]


def signed_headers(target: Target, body: bytes, now_ms: int) -> dict[str, str]:
    """The headers of a signed POST to ``/`` (Signature Version 4)."""
    stamp = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"content-type": _CONTENT_TYPE, "host": str(target.at), "x-amz-date": stamp}
    names = ";".join(headers)
    claim = sigv4.Claim(
        target.access_key, stamp[:8], target.region, sigv4.SERVICES[0], sigv4.TERMINATOR, stamp, now_ms, names, b""
    )
    folded = sigv4.fold((name.encode(), value.encode()) for name, value in headers.items())
    request = sigv4.Request("POST", b"/", b"", folded, body)
    canonical = sigv4.canonical_request(claim, request, sha256(body).hexdigest())
    to_sign = f"{sigv4.ALGORITHM}\n{stamp}\n{claim.scope}\n{sha256(canonical).hexdigest()}"
    signature = digest(sigv4.SigningKeys().derive(target.secret_key, claim.scope), to_sign.encode(), "sha256").hex()
    credential = f"{target.access_key}/{claim.scope}"
    authorization = f"{sigv4.ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


# -- SMTP


def send_by_smtp(target: Target, draft: Draft) -> str:
    """The message id in the reply to DATA, or that reply. Raises Failed with the reply that refused."""
    try:
        sender, *recipients = (parse_mailbox(text).address for text in (draft.source, *draft.to, *draft.cc, *draft.bcc))
        content = compose(draft, "")
    except (ServiceError, Unencodable, UnicodeEncodeError) as error:
        raise Failed(f"the message cannot be composed: {error}") from None
    try:
        with _connected(target) as smtp:
            _log_in(smtp, target)
            return _deliver(smtp, sender, recipients, content)
    except smtplib.SMTPResponseException as error:
        raise Failed(f"{target.at} answered {error.smtp_code} {_text(error.smtp_error)}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise Failed(f"{target.at}: {error or type(error).__name__}") from None


def _connected(target: Target) -> smtplib.SMTP:
    if target.scheme == "smtps":
        return smtplib.SMTP_SSL(*target.at, timeout=TIMEOUT_S, context=tls_context(target.checked))
    smtp = smtplib.SMTP(*target.at, timeout=TIMEOUT_S)
    smtp.ehlo_or_helo_if_needed()
    if smtp.has_extn("starttls"):
        smtp.starttls(context=tls_context(target.checked))
    elif not target.at.is_loopback:
        smtp.close()
        raise Failed(f"{target.at} offers no STARTTLS: no password is sent in the clear")
    return smtp


def _log_in(smtp: smtplib.SMTP, target: Target) -> None:
    smtp.ehlo_or_helo_if_needed()
    if smtp.has_extn("auth"):
        smtp.login(target.access_key, smtp_password(target.secret_key, target.region))


def _deliver(smtp: smtplib.SMTP, sender: str, recipients: Sequence[str], content: bytes) -> str:
    replies = [smtp.mail(sender, [f"size={len(content)}"]), *(smtp.rcpt(each) for each in recipients)]
    refused = next((reply for reply in replies if reply[0] // 100 != 2), None)
    code, text = refused or smtp.data(content)
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, text)
    said = _text(text)
    return said.removeprefix("Ok ")


def _text(reply: bytes | str) -> str:
    return " ".join((reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply).split())
