"""SMTP from the client's side; as a command, a load generator.

    python -m tools.load.smtp --port 2525 -n 20000 -s 20

Sessions side by side, each with one message after the other, so many per connection; PIPELINING (RFC 2920) unless told
otherwise. Every message is different and made before the time starts. Prints one line of JSON.
"""

import argparse
import asyncio
import base64
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from tools.load.measure import new_loop, percentile_ms, print_json

_LINE = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n"


def filled_message(sender: str, recipient: str, test_id: str, size: int) -> bytes:
    """A plain text message of about `size` bytes with ``id=TEST_ID`` in its subject."""
    head = (
        f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: load id={test_id}\r\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{test_id}@load.example.com>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    ).encode()
    return head + _LINE * max(1, (size - len(head)) // len(_LINE))


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    text: str
    """The last line's, without the code."""

    @property
    def good(self) -> bool:
        return self.code < 400


class Refused(Exception):
    """The server said no; `reply` says how."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.code} {reply.text}")
        self.reply = reply


class SmtpClient(asyncio.Protocol):
    """One connection. Every wait ends in ConnectionError where the connection does."""

    def __init__(self) -> None:
        self._buffer = b""
        self._replies = list[Reply]()
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        self._replies += [Reply(int(line[:3]), line[4:].decode("latin-1")) for line in lines if line[3:4] != b"-"]
        if len(self._replies) >= self._wanted:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def replies(self, count: int) -> list[Reply]:
        """The next so many replies."""
        self._wanted = count
        while len(self._replies) < count:
            if self.closed:
                raise ConnectionError("the server closed the connection")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        taken, self._replies = self._replies[:count], self._replies[count:]
        return taken

    async def command(self, line: str) -> Reply:
        """Sends one command; its reply. Raises Refused."""
        self.transport.write(f"{line}\r\n".encode())
        return self._checked((await self.replies(1))[0])

    @staticmethod
    def _checked(reply: Reply) -> Reply:
        if not reply.good:
            raise Refused(reply)
        return reply

    async def send(self, mail_from: str, rcpt_to: list[str], content: bytes, pipelining: bool) -> str:
        """One transaction with a message whose dots are doubled already and that ends with CRLF.

        The text of the reply to it. Raises Refused (then RSET is due) or ConnectionError.
        """
        envelope = [f"MAIL FROM:<{mail_from}>", *(f"RCPT TO:<{each}>" for each in rcpt_to), "DATA"]
        if pipelining:
            self.transport.write("".join(f"{line}\r\n" for line in envelope).encode())
            for reply in await self.replies(len(envelope)):
                self._checked(reply)
        else:
            for line in envelope:
                await self.command(line)
        self.transport.write(content + b".\r\n")
        return self._checked((await self.replies(1))[0]).text

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The handshake, once the server said that it is ready."""
        secure = await asyncio.get_running_loop().start_tls(self.transport, self, context)
        self.transport = cast(asyncio.Transport, secure)

    def quit(self) -> None:
        if not self.closed:
            self.transport.write(b"QUIT\r\n")
            self.transport.close()


async def connect(
    host: str, port: int, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> SmtpClient:
    """A client that has said EHLO, begun TLS and logged in, as asked. Raises OSError, Refused."""
    _, client = await asyncio.get_running_loop().create_connection(SmtpClient, host, port)
    try:
        await client.replies(1)
        await client.command("EHLO load.example.com")
        if tls:
            await client.command("STARTTLS")
            await client.start_tls(tls)
            await client.command("EHLO load.example.com")
        if login:
            token = base64.b64encode("\0".join(("", *login)).encode()).decode()
            await client.command(f"AUTH PLAIN {token}")
    except (OSError, Refused):
        client.transport.close()
        raise
    return client


class Run:
    """One timed section."""

    def __init__(self, asked: argparse.Namespace, login: tuple[str, str] | None) -> None:
        self._asked, self._login = asked, login
        self.seconds = list[float]()
        self.failures: Counter[str] = Counter()

    async def session(self, todo: Iterator[tuple[str, bytes]]) -> None:
        """Sends what is left in `todo`, with a new connection every --per-connection messages."""
        client, left = None, 0
        for recipient, content in todo:
            began = time.perf_counter()
            try:
                if client is None:
                    client, left = (
                        await connect(self._asked.host, self._asked.port, self._login),
                        self._asked.per_connection,
                    )
                await client.send(self._asked.mail_from, [recipient], content, not self._asked.no_pipelining)
            except (OSError, Refused) as error:
                self.failures[str(error)[:80]] += 1
                left = 0
            else:
                self.seconds.append(time.perf_counter() - began)
                left -= 1
            if left <= 0 and client:
                client.quit()
                client = None
        if client:
            client.quit()


async def _load(asked: argparse.Namespace) -> dict[str, object]:
    stamp = int(time.time())
    todo = []
    for number in range(asked.messages):
        recipient = f"user{number}@{asked.domain}"
        todo.append((recipient, filled_message(asked.mail_from, recipient, f"{stamp}-{number}", asked.size)))
    user, _, password = (asked.login or "").partition(":")
    run, shared = Run(asked, (user, password) if asked.login else None), iter(todo)
    began_s, began = time.time(), time.perf_counter()
    async with asyncio.timeout(asked.timeout):
        await asyncio.gather(*(run.session(shared) for _ in range(asked.sessions)))
    took_s = time.perf_counter() - began
    return {
        "rate": round(len(run.seconds) / took_s, 1),
        "accepted": len(run.seconds),
        "began_s": began_s,
        "p50_ms": percentile_ms(run.seconds, 0.5),
        "p99_ms": percentile_ms(run.seconds, 0.99),
        "failures": dict(run.failures),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("-n", "--messages", type=int, default=2000)
    parser.add_argument("-s", "--sessions", type=int, default=20)
    parser.add_argument("--per-connection", type=int, default=100)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--login", metavar="USER:PASSWORD")
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--mail-from", default="sender@bench.example.com")
    parser.add_argument("--domain", default="example.net", help="of the recipients")
    parser.add_argument("--timeout", type=float, default=300)
    print_json(new_loop().run_until_complete(_load(parser.parse_args())))


if __name__ == "__main__":
    main()
