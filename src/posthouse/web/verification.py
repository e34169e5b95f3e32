"""``/verify/TOKEN``: where the links of verification mail lead.

Following one (GET) verifies at once, as with SES, so that a scanner that opens links of a mail verifies it too; HEAD
changes nothing. Custom verification e-mails send people on to the account's own pages (302). No login: whoever has the
link has had the mail.
"""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from posthouse.domain.verification import DeadLink
from posthouse.operations.addresses import Followed, follow_link
from posthouse.web import pages
from posthouse.web.call import Call
from posthouse.web.routes import Endpoint

PREFIX = "/verify/"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class Word:
    """What a page says."""

    status: int
    heading: str
    text: str
    tone: str = "plain"


_VERIFIED = Word(200, "Your address is verified", "There is nothing left to do; you can close this page.", "good")
_FORGED = Word(
    404,
    "This link is not one of ours",
    "It may have been cut off or changed on its way. Open it from the mail once more, or copy all of it.",
    "bad",
)
_DEAD = {
    DeadLink.USED: Word(
        410,
        "This address is verified already",
        "The link was used before and has done its work; you can close this page.",
        "good",
    ),
    DeadLink.EXPIRED: Word(
        410,
        "This link has expired",
        "It worked for 24 hours. Whoever wanted the address verified can ask again.",
        "bad",
    ),
    DeadLink.REPLACED: Word(
        410,
        "This link works no more",
        "A newer mail was sent since, with a link of its own, or nobody wants the address verified any more.",
        "bad",
    ),
}


async def open_verification_link(call: Call) -> Response:
    request = call.request
    if request.method == "HEAD":
        return pages.visitor_headers()
    token: str = request.path_params["token"]
    # As it was sent, before percent-decoding: a link has one spelling.
    if request.scope["raw_path"] != (PREFIX + token).encode(errors="replace"):
        return _page(_FORGED)
    ctx = call.ctx
    found = await follow_link(token, ctx.links, ctx.stores.records, ctx.clock.now_ms())
    if found is None:
        return _page(_FORGED)
    if found.redirect:
        return pages.visitor_headers(302, {"location": quote(found.redirect, safe=_PRINTABLE)})
    return _page(_VERIFIED if found.dead is None else _DEAD[found.dead], found)


def _page(word: Word, found: Followed | None = None) -> Response:
    return pages.visitor_page("verification.html", word.status, word=word, link=found.link if found else None)


PAGES = (Endpoint("GET", PREFIX + "{token}", open_verification_link, "", login=False),)
