#!/usr/bin/env python3
"""Honest clients beside a crowd: does their mail still go through, how fast, and what does the crowd cost?

    tools/crowd.py --idle 10000 --slow 1000

Some connections say EHLO and then nothing; slow ones send one octet a second, a third of them of a command, of a
message, and of a TLS handshake. Meanwhile honest clients open connections and hand in mail, one after the other. The
same without the crowd goes before and after. Exit status 1 where an honest client was refused.
"""

import argparse
import asyncio
import resource
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import processes
from tests.support.sdk import ses_client
from tests.support.server import Server
from tools.load.measure import new_loop, percentile_ms, print_json, pss_mib
from tools.load.smtp import Refused, SmtpClient, connect, filled_message

AT_ONCE = 100
"""Connections of the crowd that are opened side by side."""
STAGES = ("line", "message", "handshake")


class Honest:
    """What the honest clients saw."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seconds = list[float]()
        self.failures = list[str]()

    async def work(self, mails: int) -> None:
        """New connections, four mails on each."""
        for number in range(mails // 4):
            began = time.perf_counter()
            try:
                client = await connect("127.0.0.1", self._port)
                for part in range(4):
                    content = filled_message("a@example.com", "b@example.com", f"{number}-{part}", 2048)
                    await client.send("a@example.com", ["b@example.com"], content, pipelining=True)
                client.quit()
            except (OSError, Refused) as error:
                self.failures.append(str(error)[:80])
            else:
                self.seconds.append((time.perf_counter() - began) / 4)


async def measure(port: int, mails: int, sessions: int) -> dict[str, object]:
    honest = Honest(port)
    await asyncio.gather(*(honest.work(mails // sessions) for _ in range(sessions)))
    return {
        "p50_ms": percentile_ms(honest.seconds, 0.5),
        "p99_ms": percentile_ms(honest.seconds, 0.99),
        "failures": len(honest.failures),
        "first_failure": honest.failures[:1],
    }


class Crowd:
    """Connections that want nothing."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self._port, self._tls = port, tls
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.clients = list[SmtpClient]()
        self.slow = list[SmtpClient]()

    async def open(self, idle: int, slow: int) -> None:
        await asyncio.gather(*(self._join(None) for _ in range(idle)))
        await asyncio.gather(*(self._join(STAGES[number % 3]) for number in range(slow)))

    async def _join(self, stage: str | None) -> None:
        async with self._gate:
            client = await connect("127.0.0.1", self._port, tls=self._tls if stage is None else None)
            if stage == "message":
                for line in ("MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA"):
                    await client.command(line)
            elif stage == "handshake":
                await client.command("STARTTLS")
        self.clients.append(client)
        if stage is not None:
            self.slow.append(client)

    async def drip(self) -> None:
        """One octet of each slow client a second, evenly over the second."""
        while True:
            for client in self.slow:
                if not client.closed:
                    client.transport.write(b"x")
                await asyncio.sleep(1 / len(self.slow))

    @property
    def still_there(self) -> int:
        return sum(not client.closed for client in self.clients)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def compare(server: Server, asked: argparse.Namespace) -> dict[str, object]:
    port = server.inbound
    family = processes.tree(server.pid)
    await measure(port, asked.mails // 4, asked.sessions)  # what is slow only once
    quiet, small_mib = await measure(port, asked.mails, asked.sessions), pss_mib(family)
    crowd = Crowd(port, trusting() if asked.tls else None)
    began = time.perf_counter()
    await crowd.open(asked.idle, asked.slow)
    opened_s = time.perf_counter() - began
    dripping = asyncio.create_task(crowd.drip()) if crowd.slow else None
    crowded, large_mib = await measure(port, asked.mails, asked.sessions), pss_mib(family)
    there = crowd.still_there
    if dripping is not None:
        dripping.cancel()
    for client in crowd.clients:
        client.transport.abort()
    await asyncio.sleep(1)
    return {
        "quiet": quiet,
        "crowded": crowded,
        "after": await measure(port, asked.mails, asked.sessions),
        "crowd": {"opened": len(crowd.clients), "opened_s": round(opened_s, 2), "still_there": there},
        "memory_mib": {"quiet": small_mib, "crowded": large_mib},
        "kib_per_connection": round((large_mib - small_mib) * 1024 / max(1, len(crowd.clients)), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--tls", action="store_true", help="the idle ones are under TLS")
    parser.add_argument("--mails", type=int, default=4000)
    parser.add_argument("--sessions", type=int, default=8)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Server({"log.level": "error"}) as server:
        ses_client(server.url).verify_domain_identity(Domain="example.com")
        result = new_loop().run_until_complete(compare(server, asked))
    print_json(result)
    return 1 if any(part["failures"] for part in (result["quiet"], result["crowded"], result["after"])) else 0  # type: ignore[index]


if __name__ == "__main__":
    sys.exit(main())
