"""Mixed load for crash runs: the API, submission and the MX side at once, each message under its own test id.

Nothing is ever sent twice: where an answer is missing, nobody knows, and the ledger says so.
"""

import asyncio
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from tools.load import ses, smtp
from tools.load.ledger import Entry
from tools.load.measure import new_loop
from tools.load.signing import Signer

SENDER = "sender@load.example.com"
HERE = "inbound.example.org"
"""The domain that mail comes in for."""
THERE = ("a.example.net", "b.example.net", "c.example.net")
BEHAVIOURS = ("ok", "ok", "ok", "ok", "ok", "ok", "later", "bounce", "late")
TEMPLATE = "load"
MOST_IN_BULK = 8
ANSWER_WITHIN_S = 20.0
PAUSE_S = 0.05
Client = TypeVar("Client")


class Target:
    """Where the load goes and as whom."""

    def __init__(self, http: int, submission: int, inbound: int, keys: tuple[str, str], smtp_password: str) -> None:
        self.http, self.submission, self.inbound = http, submission, inbound
        self.keys, self.smtp_password = keys, smtp_password

    def signer(self) -> Signer:
        return Signer(*self.keys, f"127.0.0.1:{self.http}")


class MixedLoad:
    """Runs in a thread of its own from entry to exit. `waits` says how many recipients are under way: beyond
    `most_waiting` no new ones are handed in."""

    def __init__(self, target: Target, seed: int, waits: Callable[[int], int], most_waiting: int = 1500) -> None:
        self.entries: list[Entry] = []
        self.refusals: Counter[str] = Counter()
        self.unanswered = 0
        self.accepted_recipients = 0
        self.returns: SimpleQueue[tuple[str, str, str]] = SimpleQueue()
        """(test id, return path, recipient) of mail that the next hop took and is going to report on."""
        self._by_id: dict[str, Entry] = {}
        self._target, self._seed = target, seed
        self._waits, self._most_waiting = waits, most_waiting
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping = True
        self._thread.join(ANSWER_WITHIN_S + 10)
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            new_loop().run_until_complete(self._drive())
        except BaseException as error:
            self._error = error

    async def _drive(self) -> None:
        drivers: list[Awaitable[None]] = []
        for number in range(8):
            drivers.append(self._api(f"api{number}"))
        for number in range(6):
            drivers.append(self._submission(f"smtp{number}", pipelining=number % 2 == 0, tls=number % 3 == 0))
        for number in range(3):
            drivers.append(self._inbound(f"inbound{number}", pipelining=number % 2 == 0))
        drivers.append(self._reports())
        await asyncio.gather(*drivers)

    async def _busy(self) -> bool:
        """Whether to hold back for now."""
        if self._waits(self.accepted_recipients) <= self._most_waiting:
            return False
        await asyncio.sleep(PAUSE_S)
        return True

    def _entry(self, way: str, rnd: random.Random, domains: tuple[str, ...]) -> Entry:
        test_id = f"{way}-{len(self.entries)}"
        inbound = way.startswith("inbound")
        recipients = tuple(
            f"{'ok' if inbound else rnd.choice(BEHAVIOURS)}-{test_id}-{number}@{rnd.choice(domains)}"
            for number in range(rnd.choice((1, 1, 1, 2, 3)))
        )
        entry = Entry(test_id, way, recipients)
        self.entries.append(entry)
        self._by_id[test_id] = entry
        return entry

    def _accepted(self, entry: Entry, message_id: str) -> None:
        entry.message_id, entry.answered_s = message_id, time.time()
        if not entry.inbound:
            self.accepted_recipients += len(entry.recipients)

    # -- the ways in

    async def _api(self, name: str) -> None:
        rnd, connection = random.Random(f"{self._seed} {name}"), None
        signer = self._target.signer()
        while not self._stopping:
            if await self._busy():
                continue
            if connection is None or connection.closed:
                connection = await self._connected(lambda: ses.connect("127.0.0.1", self._target.http))
                signer = self._target.signer()
                continue
            kind = rnd.choice(KINDS)
            mails = rnd.randint(2, MOST_IN_BULK) if kind == "bulk" else 1
            entries = [self._entry(f"{kind}-{name}", rnd, THERE) for _ in range(mails)]
            request = signer.request(_api_parameters(kind, entries, rnd))
            try:
                status, body = await asyncio.wait_for(connection.ask(request), ANSWER_WITHIN_S)
            except TimeoutError:
                status, body = -1, b""
                connection.transport.abort()
            ids = ses.bulk_message_ids(body) if kind == "bulk" else [ses.message_id_of(body)]
            if status == 200 and any(ids):
                for entry, message_id in zip(entries, ids, strict=True):
                    if message_id:
                        self._accepted(entry, message_id)
            elif status > 0:
                self.refusals[f"API {status} {_code(body)}"] += 1
                await asyncio.sleep(PAUSE_S)
            else:
                self._missing(status)

    async def _submission(self, name: str, *, pipelining: bool, tls: bool) -> None:
        login = (self._target.keys[0], self._target.smtp_password)
        way = f"{'pipelined' if pipelining else 'plain'}{'-tls' if tls else ''}-{name}"
        context = _trusting() if tls else None
        port = self._target.submission
        await self._smtp(way, pipelining, THERE, lambda: smtp.connect("127.0.0.1", port, login, context))

    async def _inbound(self, name: str, *, pipelining: bool) -> None:
        await self._smtp(name, pipelining, (HERE,), lambda: smtp.connect("127.0.0.1", self._target.inbound))

    async def _reports(self) -> None:
        """The next hop reports, once, that it could not deliver what it took."""
        client: smtp.SmtpClient | None = None
        while not self._stopping:
            if client is None or client.closed:
                client = await self._connected(lambda: smtp.connect("127.0.0.1", self._target.inbound))
                continue
            try:
                test_id, path, recipient = self.returns.get_nowait()
            except Empty:
                await asyncio.sleep(PAUSE_S)
                continue
            entry = self._by_id[test_id]
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await client.send("", [path], _report(recipient), False)
            except smtp.Refused as refused:
                self.refusals[f"report {refused}"[:100]] += 1
                client.quit()
                client = None
            except OSError:  # TimeoutError is one
                entry.perhaps_reported.add(recipient)
                client.transport.abort()
            else:
                entry.reported.add(recipient)
        if client is not None:
            client.quit()

    async def _smtp(
        self, way: str, pipelining: bool, domains: tuple[str, ...], connect: Callable[[], Awaitable[smtp.SmtpClient]]
    ) -> None:
        rnd, client, left = random.Random(f"{self._seed} {way}"), None, 0
        while not self._stopping:
            if await self._busy():
                continue
            if client is None or client.closed or not left:
                if client is not None:
                    client.quit()
                client, left = await self._connected(connect), rnd.randint(1, 50)
                continue
            entry = self._entry(way, rnd, domains)
            content = smtp.filled_message(SENDER, entry.recipients[0], entry.id, rnd.choice((600, 2048, 20000)))
            left -= 1
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    text = await client.send(SENDER, list(entry.recipients), content, pipelining)
            except smtp.Refused as refused:
                self.refusals[f"{way.partition('-')[0]} {refused}"[:100]] += 1
                left = 0
                await asyncio.sleep(PAUSE_S)
            except TimeoutError:
                self._missing(-1)
                client.transport.abort()
                left = 0
            except OSError:
                self._missing(0)
            else:
                self._accepted(entry, text.rpartition(" ")[2].strip("<>"))
        if client is not None:
            client.quit()

    async def _connected(self, connect: Callable[[], Awaitable[Client]]) -> Client | None:
        try:
            return await asyncio.wait_for(connect(), ANSWER_WITHIN_S)
        except (OSError, TimeoutError):
            await asyncio.sleep(PAUSE_S)
        except smtp.Refused as refused:
            self.refusals[f"hello {refused}"[:100]] += 1
            await asyncio.sleep(PAUSE_S)
        return None

    def _missing(self, status: int) -> None:
        self.unanswered += 1
        if status == -1:
            self.refusals[f"no answer within {ANSWER_WITHIN_S:.0f} s"] += 1


KINDS = ("email", "email", "email", "raw", "raw", "templated", "bulk")


def _api_parameters(kind: str, entries: Sequence[Entry], rnd: random.Random) -> dict[str, str]:
    entry = entries[0]
    if kind == "email":
        return ses.send_email(SENDER, entry.recipients, f"load id={entry.id}")
    if kind == "templated":
        return ses.send_by_template(SENDER, entry.recipients, TEMPLATE, entry.id)
    if kind == "bulk":
        return ses.send_bulk(SENDER, [(each.id, each.recipients) for each in entries], TEMPLATE)
    content = smtp.filled_message(SENDER, entry.recipients[0], entry.id, rnd.choice((600, 2048, 20000)))
    return ses.send_raw_email(SENDER, entry.recipients, content)


def _report(recipient: str) -> bytes:
    """That a mailbox does not exist (RFC 3464)."""
    return (
        "From: MAILER-DAEMON@sink.example.net\r\nTo: sender\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=B\r\n\r\n"
        "--B\r\n\r\nSorry.\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; sink.example.net\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 nobody of that name\r\n\r\n--B--\r\n"
    ).encode()


def _code(body: bytes) -> str:
    return body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("latin-1")


def _trusting() -> ssl.SSLContext:
    """The server under test has a certificate that it made itself."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
