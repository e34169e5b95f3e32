"""ports.scanners.SpamScanner: rspamd by HTTP (rspamd protocol, ``POST /checkv2``).

The URL is the operator's own word, so nothing is checked about where it leads. aiohttp takes a good part of our
start-up time, so it is loaded at the first scan.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from posthouse.domain.verdicts import Verdict
from posthouse.ports.scanners import ScanFailed, ScannedEnvelope, SpamJudged, SpamOutcome

if TYPE_CHECKING:
    import aiohttp

CONNECTIONS = 32
MAX_ANSWER = 1 << 20
MAX_VALUE = 320
MAX_RECIPIENTS = 50
"""Named to the scanner: a mail for a thousand is judged like one for fifty."""

# What rspamd would do, from mild to harsh. A "soft reject" or "greylist" says: not sure yet, ask again later.
_VERDICTS = {
    "no action": Verdict.PASS,
    "greylist": Verdict.GRAY,
    "soft reject": Verdict.GRAY,
    "add header": Verdict.FAIL,
    "rewrite subject": Verdict.FAIL,
    "quarantine": Verdict.FAIL,
    "discard": Verdict.FAIL,
    "reject": Verdict.FAIL,
}


class _Answer(msgspec.Struct):
    action: str
    score: float = 0.0
    required_score: float | None = None
    """Null where no action has a threshold."""
    is_skipped: bool = False
    """Nobody looked: by the operator's rules, or because what was seen at once is enough (GTUBE) for an action."""


_decode = msgspec.json.Decoder(_Answer).decode


class RspamdScanner:
    """Made and used inside one loop."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = f"{url.rstrip('/')}/checkv2"
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def judge(self, content: bytes, envelope: ScannedEnvelope) -> SpamOutcome:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._call(await self._opened(), content, envelope)
        except TimeoutError:
            return ScanFailed(f"rspamd took longer than {self._timeout_s:g} s")

    async def _call(self, session: "aiohttp.ClientSession", content: bytes, envelope: ScannedEnvelope) -> SpamOutcome:
        import aiohttp

        try:
            async with session.post(
                self._url, data=content, headers=_headers(envelope), allow_redirects=False
            ) as answer:
                body = await answer.content.read(MAX_ANSWER)
                if answer.status != 200:
                    return ScanFailed(f"rspamd answered with status {answer.status}")
                while (more := await answer.content.read(MAX_ANSWER)) and len(body) < MAX_ANSWER:
                    body += more
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return ScanFailed(f"rspamd cannot be reached: {str(error)[:200] or type(error).__name__}")
        return read_answer(body)

    async def _opened(self) -> "aiohttp.ClientSession":
        if self._session is None:
            async with self._opening:
                if self._session is None:
                    self._session = await _session()
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _session() -> "aiohttp.ClientSession":
    def load() -> None:
        import aiohttp  # noqa: F401 - a thread can wait for it, the loop should not

    await asyncio.to_thread(load)
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )


def _headers(envelope: ScannedEnvelope) -> list[tuple[str, str]]:
    found = [
        ("IP", envelope.client_ip),
        ("Helo", envelope.helo),
        ("From", envelope.mail_from),
        *(("Rcpt", recipient) for recipient in envelope.recipients[:MAX_RECIPIENTS]),
        ("Queue-Id", envelope.message_id),
    ]
    return [(name, value) for name, text in found if (value := _plain(text))]


def _plain(text: str) -> str:
    """A stranger's text that can stand in a header of HTTP."""
    return "".join(char if "!" <= char <= "~" else "?" for char in text[:MAX_VALUE])


def read_answer(body: bytes) -> SpamOutcome:
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ScanFailed("rspamd gave an answer that is none")
    threshold = "" if answer.required_score is None else f" of {answer.required_score:.1f}"
    detail = f"{answer.action[:40]}, score {answer.score:.1f}{threshold}"
    if answer.is_skipped and answer.action == "no action":
        return SpamJudged(Verdict.GRAY, f"not scanned: {detail}")
    # Actions of an operator's own making say nothing that we know.
    return SpamJudged(_VERDICTS.get(answer.action, Verdict.GRAY), detail)
