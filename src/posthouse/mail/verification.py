"""The words of verification mail: ours, and what is added to a custom one.

Source: SES developer guide, "Verifying an email address identity" (one link, 24 hours) and "Using custom verification
email templates" (the link and a fixed notice follow the content; base64 images become parts of the message).
"""

import html
import re
from collections.abc import Iterable, Sequence

from posthouse.domain.messages import Draft, Text
from posthouse.domain.scope import Scope
from posthouse.domain.verification_html import Content, InlineImage, Piece
from posthouse.mail import transfer
from posthouse.mail.compose import compose_message
from posthouse.mail.headers import Field, Message

NOTICE = (
    "If you did not request to verify this email address, please disregard this message. If you have any concerns, "
    "please forward this message to the following email address along with your questions or comments."
)
_BLOCK_TAGS = (
    "address blockquote body br center dd dir div dl dt fieldset form h1 h2 h3 h4 h5 h6 head hr html legend li menu ol"
    " p pre select table tbody tfoot thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_BLANKS = re.compile(r"[ \t\r\n\f]+")


def verification_draft(address: str, scope: Scope, url: str, service_domain: str) -> Draft:
    """The mail that VerifyEmailIdentity sends."""
    asked = f"to send mail from {address} with account {scope.account} in region {scope.region}"
    return Draft(
        source=f"Posthouse <no-reply@{service_domain}>",
        to=(address,),
        subject=Text(f"Posthouse - Email Address Verification Request in region {scope.region}"),
        text=Text(
            f"Somebody asked for permission {asked}.\n\n"
            "If it was you, open this link to confirm that the address is yours:\n\n"
            f"{url}\n\n"
            "The link works once, and for 24 hours. Opening it does not sign you in or subscribe you to anything.\n\n"
            f"{NOTICE}\n\n{contact(service_domain)}\n"
        ),
        html=Text(_page(_question(address, scope, url) + _notice(service_domain))),
    )


def contact(service_domain: str) -> str:
    """Where people write who got a mail they did not ask for (RFC 5321 section 4.5.1: it is there)."""
    return f"postmaster@{service_domain}"


def _question(address: str, scope: Scope, url: str) -> str:
    shown, link = html.escape(address), html.escape(url)
    return (
        '<h1 style="margin:0 0 16px;font-size:20px;line-height:28px;font-weight:600">Is this address yours?</h1>'
        f'<p style="margin:0 0 24px">Somebody asked for permission to send mail from '
        f'<strong style="overflow-wrap:anywhere">{shown}</strong> with account {scope.account} in region '
        f"{html.escape(scope.region)}. If it was you, confirm that the address is yours:</p>"
        f'<p style="margin:0 0 24px"><a href="{link}" style="display:inline-block;padding:12px 24px;'
        'border-radius:8px;background:#0b6b57;color:#ffffff;font-weight:600;text-decoration:none">'
        "Verify this address</a></p>"
        '<p style="margin:0 0 8px">The link works once, and for 24 hours. If the button does nothing, open this:</p>'
        f'<p style="margin:0 0 24px;font-size:13px;line-height:20px;overflow-wrap:anywhere;word-break:break-all">'
        f'<a href="{link}" style="color:#0b6b57">{link}</a></p>'
    )


def _notice(service_domain: str) -> str:
    mailbox = html.escape(contact(service_domain))
    return (
        '<p style="margin:24px 0 0;padding:16px 0 0;border-top:1px solid #d8dce3;font-size:13px;line-height:20px;'
        f'color:#5a6270">{NOTICE} <a href="mailto:{mailbox}" style="color:#5a6270">{mailbox}</a></p>'
    )


def _page(content: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>\n'
        '<body style="margin:0;padding:24px 12px;background:#f5f4f0">\n'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">\n'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:560px;'
        "background:#ffffff;border:1px solid #d8dce3;border-radius:12px;text-align:left;color:#1a2029;"
        'font:16px/24px system-ui,-apple-system,\'Segoe UI\',Roboto,Arial,sans-serif"><tr><td style="padding:32px">\n'
        f"{content}\n</td></tr></table>\n</td></tr></table>\n</body></html>\n"
    )


# -- custom verification e-mails


def custom_draft(
    source: str, address: str, subject: str, content: str, read: Content, url: str, service_domain: str
) -> Draft:
    """A custom verification e-mail: the account's content, then the link and the notice, outside of all its elements.

    `read`: what ``verification_html.read_content`` said of `content`; images that stood in it are now references to
    the parts that ``with_images`` adds.
    """
    link = html.escape(url)
    added = f'<p><a href="{link}">{link}</a></p>\n{_notice(service_domain)}\n'
    closing = "".join(f"</{name}>" for name in reversed(read.left_open))
    before = _with_references(content, read.images, 0, read.end)
    after = _with_references(content, read.images, read.end, len(content))
    words = plain_words(read.pieces)
    text = f"{words}\n\n" if words else ""
    return Draft(
        source=source,
        to=(address,),
        subject=Text(subject),
        text=Text(f"{text}{url}\n\n{NOTICE}\n\n{contact(service_domain)}\n"),
        html=Text(f"{before}{closing}\n{added}{after}"),
    )


def _with_references(content: str, images: Sequence[InlineImage], start: int, end: int) -> str:
    """``content[start:end]`` with the images that stand in it as references to their parts."""
    pieces, at = [], start
    for number, image in enumerate(images, start=1):
        if start <= image.start < end:
            pieces += [content[at : image.start], "cid:", _content_id(number)]
            at = image.end
    return "".join([*pieces, content[at:end]])


def _content_id(number: int) -> str:
    return f"image{number}@verification"


def plain_words(pieces: Iterable[Piece]) -> str:
    """The content without mark-up, a line for each block."""
    lines: list[list[str]] = [[]]
    for piece in pieces:
        if piece.tag.lstrip("/") in _BLOCKS:
            lines.append([])
        elif piece.text:
            lines[-1].append(piece.text)
    found = (_BLANKS.sub(" ", "".join(line)).strip(" ") for line in lines)
    return "\n\n".join(line for line in found if line)


def with_images(draft: Draft, read: Content, mark: str) -> bytes:
    """The draft as RFC 5322 bytes with the images of its content as parts beside it (RFC 2387).

    `mark`: a word that stands in none of the parts, for the boundaries: random.
    """
    message = compose_message(draft, mark)
    about_content = (b"content-type", b"content-transfer-encoding")
    head = [each for each in message.fields if each.key not in about_content]
    first = b"".join(each.raw for each in message.fields if each.key in about_content)
    boundary = f"=_{mark}".encode("ascii")
    parts = [first + b"\r\n" + message.body, *_image_parts(read)]
    kind = b'Content-Type: multipart/related; type="multipart/alternative";\r\n boundary="' + boundary + b'"\r\n'
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    return Message([*head, Field(b"content-type", kind)], body).to_bytes()


def _image_parts(read: Content) -> Sequence[bytes]:
    return [
        (
            f"Content-Type: image/{_subtype(image.subtype)}\r\nContent-Transfer-Encoding: base64\r\n"
            f"Content-ID: <{_content_id(number)}>\r\n"
            f'Content-Disposition: inline; filename="image{number}.{image.subtype}"\r\n\r\n'
        ).encode("ascii")
        + transfer.write_base64(transfer.read_base64(image.base64.encode("ascii")))
        for number, image in enumerate(read.images, start=1)
    ]


def _subtype(name: str) -> str:
    return "jpeg" if name == "jpg" else name
