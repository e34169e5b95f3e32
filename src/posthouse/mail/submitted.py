"""What a raw message says about itself: the facts SendRawEmail and SMTP submission are decided on.

Follows the SES developer guide: "Sending raw email", "Header fields" (at most once, X-SES-*) and "Unsupported
attachments". Facts only; who may send, and whether an address is one, is decided elsewhere.
"""

import re
from typing import NamedTuple

from posthouse.mail import headers, mailboxes, mime, outgoing
from posthouse.mail.encoded_words import decode_words
from posthouse.mail.headers import Field
from posthouse.mail.mailboxes import Mailbox

MAX_HEAD = 256 * 1024
"""Longest header section taken, in bytes. SES has a limit and tells no figure; this is several times what fifty
recipients and a long References need."""
MAX_FIELDS = 2000

_ONCE = (
    "Accept-Language acceptLanguage Archived-At Auto-Submitted Bounces-to Comments Content-Alternative "
    "Content-Base Content-Class Content-Description Content-Disposition Content-Duration Content-ID "
    "Content-Language Content-Length Content-Location Content-MD5 Content-Transfer-Encoding Content-Type Date "
    "Delivered-To Disposition-Notification-Options Disposition-Notification-To DKIM-Signature "
    "DomainKey-Signature Errors-To From Importance In-Reply-To Keywords List-Archive List-Help List-Id List-Owner "
    "List-Post List-Subscribe List-Unsubscribe List-Unsubscribe-Post Message-Context Message-ID MIME-Version "
    "Organization Original-From Original-Message-ID Original-Recipient Original-Subject Precedence Priority "
    "References Reply-To Return-Path Return-Receipt-To Sender Solicitation Sensitivity Subject Thread-Index "
    "Thread-Topic User-Agent VBR-Info"
)
_AT_MOST_ONCE = {name.lower().encode("ascii"): name for name in _ONCE.split()}
_EXTENSIONS = (
    "ade adp app asp bas bat cer chm cmd com cpl crt csh der exe fxp gadget hlp hta inf ins isp its js jse ksh "
    "lib lnk mad maf mag mam maq mar mas mat mau mav maw mda mdb mde mdt mdw mdz msc msh msh1 msh2 mshxml "
    "msh1xml msh2xml msi msp mst ops pcd pif plg prf prg reg scf scr sct shb shs sys ps1 ps1xml ps2 ps2xml psc1 "
    "psc2 tmp url vb vbe vbs vps vsmacros vss vst vsw vxd ws wsc wsf wsh xnk"
)
_REFUSED = frozenset(_EXTENSIONS.split())
# RFC 5322 section 2.2. A blank before the colon is refused too: readers differ on whether "From :" is a From.
_LEGAL_NAME = re.compile(rb"[!-9;-~]+:")
_HOLDS_FILES = re.compile(rb"multipart|message|name", re.IGNORECASE)


class Submission(NamedTuple):
    """Facts about a raw message. Address lists hold what the headers say, good or bad, in order."""

    raw: bytes
    """The message with CRLF newlines: what these facts were read from, and what has to be kept and sent."""
    fields: list[Field]
    body: bytes
    from_fields: int
    from_: list[Mailbox]
    sender: list[Mailbox]
    reply_to: list[Mailbox]
    return_path: list[Mailbox]
    to: list[Mailbox]
    cc: list[Mailbox]
    bcc: list[Mailbox]
    has_recipient_header: bool
    """To, Cc or Bcc is there, if only with an empty group."""
    subject: str
    """Decoded; empty when there is none."""
    message_id: str | None
    """The caller's own, which recipients will not see."""
    configuration_set: str | None
    message_tags: str | None
    """As written; ``read_tags`` splits it."""
    source_arn: str | None
    from_arn: str | None
    return_path_arn: str | None
    list_management_options: str | None
    tenant: str | None
    head_too_long: bool
    illegal_name: str | None
    """The first field name that is none; empty for a line that starts with a colon."""
    duplicate: str | None
    """The first field that may stand once and stands twice, in SES's spelling."""
    refused_file: str | None
    """The first attachment's name that SES does not take."""
    parts_complete: bool
    """False when there are more MIME parts, or deeper ones, than are looked at."""
    bad_parameters: str | None
    """What JavaMail's parser, whose words SES answers with, would stumble over in Content-Type or
    Content-Disposition."""


def read_submission(raw: bytes) -> Submission:
    """Read a raw message as it was handed in, any newlines. Never raises; linear."""
    raw = outgoing.crlf(raw)
    head, body, _ = headers.split(raw)
    fields = headers.fields(head[:MAX_HEAD], MAX_FIELDS + 1)
    first = {field.key: field for field in reversed(fields)}
    repeated = len(first) < len(fields)
    walk = mime.walk(raw, fields, into_messages=True) if _may_hold_files(first) else mime.Walk()

    def value(key: bytes) -> str | None:
        # Of a repeated X-SES header the first counts.
        return first[key].value if key in first else None

    def listed(key: bytes) -> list[Mailbox]:
        if key not in first:
            return []
        found = [field for field in fields if field.key == key] if repeated else [first[key]]
        return [mailbox for field in found for mailbox in mailboxes.parse(field.value)]

    return Submission(
        raw=raw,
        fields=fields,
        body=body,
        from_fields=[field.key for field in fields].count(b"from"),
        from_=listed(b"from"),
        sender=listed(b"sender"),
        reply_to=listed(b"reply-to"),
        return_path=listed(b"return-path"),
        to=listed(b"to"),
        cc=listed(b"cc"),
        bcc=listed(b"bcc"),
        has_recipient_header=not first.keys().isdisjoint((b"to", b"cc", b"bcc")),
        subject=decode_words(value(b"subject") or ""),
        message_id=value(b"message-id"),
        configuration_set=value(b"x-ses-configuration-set"),
        message_tags=value(b"x-ses-message-tags"),
        source_arn=value(b"x-ses-source-arn"),
        from_arn=value(b"x-ses-from-arn"),
        return_path_arn=value(b"x-ses-return-path-arn"),
        list_management_options=value(b"x-ses-list-management-options"),
        tenant=value(b"x-ses-tenant"),
        head_too_long=len(head) > MAX_HEAD or len(fields) > MAX_FIELDS,
        illegal_name=_illegal_name(fields),
        duplicate=_duplicate(fields, first),
        refused_file=_refused_file(walk.parts),
        parts_complete=walk.complete,
        bad_parameters=_bad_parameters(first),
    )


def refusal(submission: Submission) -> str | None:
    """Why SES would not take this message whoever sends it: the text of its InvalidParameterValue, or None.

    The order among these is ours; SES's is not documented.
    """
    if submission.head_too_long:
        return "Header section too long."
    if submission.illegal_name is not None:
        return f"Illegal header '{submission.illegal_name}'." if submission.illegal_name else _EMPTY_NAME
    if submission.bad_parameters is not None:
        return submission.bad_parameters
    if submission.duplicate:
        return f"Duplicate header '{submission.duplicate}'."
    if not submission.from_:
        return NO_FROM
    if len(submission.from_) > 1:
        return "Only one address is allowed in header 'From'."
    if submission.refused_file is not None:
        return "Illegal filename"
    if not submission.parts_complete:
        return "Too many MIME parts."
    return None


NO_FROM = "Missing required header 'From'."
_EMPTY_NAME = "Empty header names are illegal."


def with_from(raw: bytes, mailbox: str) -> bytes:
    """The message with a From field on top that names this mailbox, written as in messages that we compose."""
    value = mailboxes.join([mailboxes.as_given(mailbox)], len("From: "))
    return f"From: {value}\r\n".encode("ascii") + raw


def _illegal_name(fields: list[Field]) -> str | None:
    for field in fields:
        # RFC 5322 has no place for a NUL in a header, and readers that drop or stop at it see different values.
        if not _LEGAL_NAME.match(field.raw) or b"\0" in field.raw:
            name = field.raw.partition(b":")[0].strip(b" \t\r\n")[:100]
            return "".join(char if char.isprintable() else "?" for char in name.decode("iso-8859-1"))
    return None


def _duplicate(fields: list[Field], first: dict[bytes, Field]) -> str | None:
    if len(first) == len(fields):
        return None
    seen: set[bytes] = set()
    for field in fields:
        if field.key in seen and field.key in _AT_MOST_ONCE:
            return _AT_MOST_ONCE[field.key]
        seen.add(field.key)
    return None


def _may_hold_files(first: dict[bytes, Field]) -> bool:
    """Whether parts and file names are worth a walk; most mail is a bare text."""
    return b"content-disposition" in first or (
        b"content-type" in first and bool(_HOLDS_FILES.search(first[b"content-type"].raw))
    )


def _bad_parameters(first: dict[bytes, Field]) -> str | None:
    for key in (b"content-type", b"content-disposition"):
        if key in first and mime.ends_without_value(first[key].value):
            return "Expected '=', got 'null'"
    return None


def _refused_file(parts: list[mime.Part]) -> str | None:
    """Every name that some mail program might save a part under: they differ on which of several counts, and on where
    one ends that should have been quoted."""
    for part in parts:
        for field in part.fields:
            if field.key in (b"content-disposition", b"content-type"):
                for name in mime.possible_values(field.value, ("filename", "name")):
                    if is_refused_file(name):
                        return name
    return None


def is_refused_file(name: str) -> bool:
    """Whether SES takes no attachment of this name. Dots and blanks at the end are dropped, as Windows drops them."""
    _, dot, extension = name.strip().rstrip(". ").rpartition(".")
    return bool(dot) and extension.lower() in _REFUSED


def read_tags(value: str) -> list[tuple[str, str]]:
    """The tags of X-SES-MESSAGE-TAGS, ``n1=v1, n2=v2``, unchecked; a piece without ``=`` is a name with no value."""
    pairs = [piece.partition("=") for piece in value.split(",") if piece.strip(" \t")]
    return [(name.strip(" \t"), text.strip(" \t")) for name, _, text in pairs]
