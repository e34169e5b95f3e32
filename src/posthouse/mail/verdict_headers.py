"""The header fields that tell of verdicts, as SES writes them, and the removal of those that somebody else has written
in our name.

Source: mail that SES has received (its spelling is that of Apache jSPF, and its Authentication-Results has semicolons
where RFC 8601 knows none: readers are made for this form), RFC 8601 section 5 (forged results are removed). What
strangers chose, their HELO name and return path, is written so that no reader can take it for a result.
"""

import base64
import hmac
import re
from collections.abc import Sequence

from posthouse.domain.verdicts import Authentication, DkimResult, SpfResult, Verdict, Verdicts
from posthouse.mail.headers import Field, fields, split
from posthouse.mail.transfer import LONGEST_LINE

_OURS = frozenset({b"x-ses-spam-verdict", b"x-ses-virus-verdict", b"x-ses-receipt", b"x-ses-dkim-signature"})
"""Fields that only a receiving SES writes: below ours, one would be somebody's word for it."""
_RESULTS = b"authentication-results"
_TRACE_FIELDS = 8
"""Fields that may stand above the first Received: it is the one we wrote ourselves, at acceptance."""
_COMMENT = re.compile(r"[ \t]*\((?:[^()\\]|\\.)*+\)", re.DOTALL)
_LONGEST_ID = 1024
_MAX_TEXT = 320
"""Characters of a stranger's text: a mail address has no more (RFC 5321 section 4.5.3.1)."""
_UNSAFE = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.@:\[\]-]")
_LIKE_A_RESULT = re.compile(r"(?:spf|dkim|dmarc|arc|auth|iprev|dkim-atps|bimi|dara)=", re.IGNORECASE)
_SPF_SAYS = {
    "pass": "domain of {domain} designates {ip} as permitted sender",
    "fail": "domain of {domain} does not designate {ip} as permitted sender",
    "softfail": "transitioning domain of {domain} does not designate {ip} as permitted sender",
    "neutral": "{ip} is neither permitted nor denied by domain of {domain}",
    "none": "{ip} is neither permitted nor denied by domain of {domain}",
    "permerror": "Error in processing SPF Record",
    "temperror": "Error in retrieving data from DNS",
}


def added_head(verdicts: Verdicts, service_domain: str, receipt: str) -> bytes:
    """The fields in SES's order: verdicts of scans that were asked for, Received-SPF, Authentication-Results, and
    `receipt` (`receipt_token`)."""
    found = verdicts.authentication
    lines = [
        f"X-SES-{name}-Verdict: {verdict}"
        for name, verdict in (("Spam", verdicts.spam), ("Virus", verdicts.virus))
        if verdict is not Verdict.DISABLED
    ]
    lines += [
        f"Received-SPF: {_spf(found.spf, found)}",
        "\r\n ".join([f"Authentication-Results: {service_domain};", *_results(found)]),
        f"X-SES-RECEIPT: {receipt}",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode("ascii", "replace")


def _folded(text: str) -> str:
    """As SES writes it, unless a line would be too long: strangers may have names of any length."""
    if all(len(line) <= LONGEST_LINE for line in text.split("\r\n")):
        return text
    return text.replace(") client-ip=", ")\r\n client-ip=").replace("; ", ";\r\n ")


def _results(found: Authentication) -> list[str]:
    """One line for each method. A mail without a signature has no result of DKIM (observed)."""
    dmarc = found.dmarc
    author = f" header.from={_safe(dmarc.author_domain)}" if dmarc.author_domain else ""
    return [
        f"spf={_spf(found.spf, found)}",
        *(f"dkim={each.result} header.i={_identity(each)};" for each in found.dkim),
        f"dmarc={dmarc.result}{author};",
    ]


def _spf(spf: SpfResult, found: Authentication) -> str:
    ip = _safe(found.client_ip)
    says = _SPF_SAYS[spf.result].format(domain=_safe(spf.domain or spf.sender_domain), ip=ip)
    return (
        f"{spf.result} (spfCheck: {says}) client-ip={ip}; envelope-from={_safe(spf.sender)}; helo={_safe(found.helo)};"
    )


def _identity(dkim: DkimResult) -> str:
    return _safe(dkim.identity or f"@{dkim.domain}")


def _safe(text: str) -> str:
    """A stranger's text where no semicolon, comment or result can come out of it."""
    text = _UNSAFE.sub("?", text[:_MAX_TEXT])
    return _LIKE_A_RESULT.sub(lambda match: match[0][:-1] + "?", text)


# -- the receipt


def receipt_token(key: bytes, message_id: str, scope: str, verdicts: Verdicts) -> str:
    """X-SES-RECEIPT: opaque to others; whoever has the key can tell that we wrote these verdicts about this mail."""
    told = [verdicts.spam, verdicts.virus, verdicts.spf, verdicts.dkim, verdicts.dmarc, verdicts.dmarc_policy]
    text = "\0".join(["posthouse receipt", scope, message_id, *told])
    # SES's own begins with zeros too, and is base64 of base64.
    return base64.b64encode(base64.b64encode(bytes(8) + hmac.digest(key, text.encode(), "sha256"))).decode("ascii")


# -- into the mail


def with_verdicts(content: bytes, head: bytes, service_domain: str) -> bytes:
    """The kept mail with `head` put below the trace fields of its acceptance, without what others wrote in our name."""
    parts = split(content)
    found = fields(parts.head)
    end = _end_of_trace(found)
    kept = [field.raw for field in found[end:] if not is_forged(field, service_domain)]
    return b"".join([*(field.raw for field in found[:end]), head, *kept, parts.newline, parts.body])


def _end_of_trace(found: Sequence[Field]) -> int:
    keys = [field.key for field in found[:_TRACE_FIELDS]]
    return keys.index(b"received") + 1 if b"received" in keys else 0


def is_forged(field: Field, service_domain: str) -> bool:
    """Whether a field of incoming mail claims to be the word of this installation."""
    if field.key == _RESULTS:
        return _authserv_id(field).lower().removesuffix(".") == service_domain.lower()
    return field.key in _OURS


def _authserv_id(field: Field) -> str:
    """Who an Authentication-Results field says it is from; comments and quotes may stand around it (RFC 8601 2.2)."""
    text = field.value[:_LONGEST_ID]
    before = None
    while before != text:  # comments may be nested, and each round takes the innermost
        before, text = text, _COMMENT.sub(" ", text)
    text = text.partition(";")[0].strip(" \t")
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:].partition('"')[0])
    return text.split(" ")[0].split("\t")[0]
