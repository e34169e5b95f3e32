#!/usr/bin/env python3
"""Speed beside the peers, in one run on one machine: ratios, not figures, are what can be compared.

    tools/bench.py                    everything, three rounds (some ten minutes)
    tools/bench.py --quick            small numbers, one round: shows that it works, proves nothing
    tools/bench.py --only S1,S5 --json FILE

In each round Posthouse and its peer run one after the other; the medians of the rounds are compared. Posthouse runs in
its default configuration, with strict signatures and without quotas: every answer is durable. Load tools and peers are
in tools/load.
"""

import argparse
import base64
import http.client
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import processes
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server
from tools.load.measure import cpu_s, pss_mib
from tools.load.peers import DroppingSmtpd, Moto, OpenDkim, Postfix, missing
from tools.load.ses import WARM_UP
from tools.load.signing import Signer, smtp_password

ROOT = Path(__file__).parents[1]
STRICT = {"auth.mode": "strict", "accounts.max_24_hour_send": -1, "accounts.max_send_rate": -1}
LOGIN = f"{ACCESS_KEY}:{smtp_password(SECRET_KEY)}"
DRAIN_S = 300.0


@dataclass(frozen=True)
class Size:
    """How much work each measurement is."""

    rounds: int
    share: float

    def of(self, count: int) -> int:
        return max(100, int(count * self.share))


@dataclass
class Row:
    """One line of the table: what was measured on both sides, round by round."""

    number: str
    work: str
    unit: str
    peer: str
    wanted: float
    """The ratio aimed at; 0: none."""
    least: float
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.theirs) if self.ours and self.theirs else 0.0

    @property
    def spread(self) -> str:
        """The ratios of single rounds: noise from outside falls on both sides of one."""
        each = [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=False) if theirs]
        return f"{min(each):.2f}-{max(each):.2f}" if each else ""

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "ratio": round(self.ratio, 3), "spread": self.spread}


def load(module: str, *words: object) -> dict[str, Any]:
    """One run of a load tool; what it measured. A run with failures counts for nothing."""
    command = [sys.executable, "-m", f"tools.load.{module}", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])} ended with status {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["failures"]:
        raise SystemExit(f"{' '.join(command[2:])}: {result['failures']} {result.get('sample', '')}")
    return result


def through(sink_port: int, count: int, *words: object) -> tuple[float, dict[str, Any]]:
    """Messages per second from the first one handed in to the last one at the sink, and what the sink saw."""
    with sink_for(sink_port, count) as sink:
        sent = load("smtp", "-n", count, *words)
        seen = json.loads(sink.communicate(timeout=DRAIN_S)[0])
    if seen["distinct"] != count:
        raise SystemExit(f"{seen['distinct']} of {count} messages arrived")
    return round(count / (seen["last_s"] - sent["began_s"]), 1), seen


@contextmanager
def sink_for(port: int, count: int) -> Iterator["subprocess.Popen[str]"]:
    """A sink that ends, and prints what it saw, once so many messages have arrived."""
    command = [sys.executable, "-m", "tools.load.sink", "--port", str(port), "--target", str(count)]
    sink = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        processes.wait_for_port(port)
        yield sink
    finally:
        sink.terminate()


def drained(server: Server) -> None:
    if not server.wait_queue_empty(DRAIN_S):
        raise SystemExit(f"the queue was not empty after {DRAIN_S:g} s")


def verify_domains(server: Server, *domains: str) -> None:
    signer = Signer(ACCESS_KEY, SECRET_KEY, f"127.0.0.1:{server.http}")
    for domain in domains:
        status = ask(server.http, signer.request({"Action": "VerifyDomainIdentity", "Domain": domain}))
        if status != 200:
            raise SystemExit(f"VerifyDomainIdentity {domain}: {status}")


def ask(port: int, request: bytes) -> int:
    """The status of the answer to a whole request. Raises OSError, http.client.HTTPException."""
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


# -- the measurements


def accept_over_api(size: Size, callers: int, number: str, wanted: float, least: float, latency: bool) -> Iterator[Row]:
    """SendEmail, durable and checked, beside moto, which keeps it in memory and checks nothing."""
    row = Row(number, f"SendEmail accepted, {callers} callers", "/s", "moto", wanted, least)
    with Server(STRICT) as server, Moto() as moto:
        for _ in range(size.rounds):
            ours = load("ses", "--url", server.url, "-n", size.of(20_000 if callers > 1 else 5_000), "-c", callers)
            drained(server)
            theirs = load("ses", "--url", f"http://127.0.0.1:{moto.port}", "-n", size.of(2_000), "-c", callers)
            row.ours.append(ours["rate"])
            row.theirs.append(theirs["rate"])
            if latency:
                row.notes.append(f"p50 {ours['p50_ms']:.1f} p99 {ours['p99_ms']:.1f} ms")
    yield row


def s1(size: Size) -> Iterator[Row]:
    yield from accept_over_api(size, 16, "S1", 20, 15, latency=True)
    yield from accept_over_api(size, 64, "S1", 30, 20, latency=True)


def s2(size: Size) -> Iterator[Row]:
    yield from accept_over_api(size, 1, "S2", 5, 0, latency=True)


def relay(size: Size, row: Row, more: dict[str, Any], signed: bool, counts: tuple[int, int]) -> Iterator[Row]:
    """Submission over SMTP to a sink, 2 KB, beside Postfix."""
    with ExitStack() as stack:
        our_sink, their_sink = processes.free_ports(2)
        routes = {"delivery.mode": "direct", "delivery.routes": {"*": f"127.0.0.1:{our_sink}"}}
        server = stack.enter_context(Server({**STRICT, **routes, **more}))
        milter = stack.enter_context(OpenDkim()).port if signed else 0
        postfix = stack.enter_context(Postfix(their_sink, milter))
        verify_domains(server, "bench.example.com")
        for _ in range(size.rounds):
            count = size.of(counts[0])
            rate, seen = through(our_sink, count, "--port", server.submission, "--login", LOGIN)
            row.ours.append(rate)
            row.notes.append(f"{seen['signed']} of {seen['count']} signed")
            drained(server)
            rate, seen = through(their_sink, size.of(counts[1]), "--port", postfix.port)
            row.theirs.append(rate)
            row.notes.append(f"{row.peer}: {seen['signed']} of {seen['count']} signed")
    yield row


def s3(size: Size) -> Iterator[Row]:
    row = Row("S3", "delivered with one RSA-2048 signature, 2 KB", "/s", "Postfix + OpenDKIM", 9.5, 7)
    return relay(size, row, {}, True, (10_000, 2_000))


def s4(size: Size) -> Iterator[Row]:
    row = Row("S4", "delivered unsigned, SMTP in and out, 2 KB", "/s", "Postfix", 6, 4)
    return relay(size, row, {"identities.service_signature": "none"}, False, (20_000, 4_000))


def s5(size: Size) -> Iterator[Row]:
    """Inbound mail, durable, beside a Postfix that discards what it queued and an aiosmtpd that keeps nothing."""
    work = "inbound SMTP accepted, 20 sessions, 2 KB"
    beside_postfix = Row("S5", work, "/s", "Postfix", 8, 5)
    beside_aiosmtpd = Row("S5", work, "/s", "aiosmtpd storing nothing", 2.2, 1.5)
    with Server(STRICT) as server, Postfix() as postfix, DroppingSmtpd() as dropping:
        verify_domains(server, "bench.example.com", "example.net")
        for _ in range(size.rounds):
            ours = load("smtp", "--port", server.inbound, "-n", size.of(20_000))
            beside_postfix.ours.append(ours["rate"])
            beside_aiosmtpd.ours.append(ours["rate"])
            beside_postfix.notes.append(f"p99 {ours['p99_ms']:.1f} ms")
            beside_postfix.theirs.append(load("smtp", "--port", postfix.port, "-n", size.of(4_000))["rate"])
            beside_aiosmtpd.theirs.append(load("smtp", "--port", dropping.port, "-n", size.of(10_000))["rate"])
    yield beside_postfix
    yield beside_aiosmtpd


BULK = 50


def beside_moto(size: Size, row: Row, counts: tuple[int, int], *words: object, per_call: int = 1) -> Row:
    """Calls accepted by both, 16 callers, `per_call` messages each; the queue is empty before the next round."""
    with Server(STRICT) as server, Moto() as moto:
        for _ in range(size.rounds):
            ours = load("ses", "--url", server.url, "-n", size.of(counts[0]), "-c", 16, *words)
            drained(server)
            theirs = load("ses", "--url", f"http://127.0.0.1:{moto.port}", "-n", size.of(counts[1]), "-c", 16, *words)
            row.ours.append(ours["rate"])
            row.theirs.append(theirs["rate"])
            row.notes.append(f"{ours['rate'] * per_call:,.0f} messages/s, p99 {ours['p99_ms']:.1f} ms")
    return row


def s7(size: Size) -> Iterator[Row]:
    """What costs more than a short text: 100 KB, templates, and many templates in one call."""
    row = Row("S7", "SendRawEmail accepted, 100 KB, 16 callers", "/s", "moto", 4.5, 0)
    yield beside_moto(size, row, (4_000, 1_000), "--raw", 100 * 1024)
    row = Row("S7", "SendTemplatedEmail accepted, 16 callers", "/s", "moto", 0, 0)
    yield beside_moto(size, row, (10_000, 1_000), "--templated")
    row = Row("S7", f"SendBulkTemplatedEmail accepted, {BULK} destinations", "/s", "moto", 4, 0)
    yield beside_moto(size, row, (500, 300), "--bulk", BULK, per_call=BULK)
    yield rendered_and_signed(size)


def rendered_and_signed(size: Size) -> Row:
    """From the first bulk call to the last mail at the sink: accepted, rendered, signed with RSA-2048, delivered."""
    row = Row("S7", "bulk mail rendered, signed and delivered (aim: 2,000/s)", "/s", "none", 0, 0)
    sink_port = processes.free_port()
    routes = {"delivery.mode": "direct", "delivery.routes": {"*": f"127.0.0.1:{sink_port}"}}
    with Server({**STRICT, **routes}) as server:
        for _ in range(size.rounds):
            calls = max(2, size.of(10_000) // BULK)
            with sink_for(sink_port, calls * BULK + WARM_UP * BULK) as sink:
                sent = load("ses", "--url", server.url, "-n", calls, "-c", 4, "--bulk", BULK)
                seen = json.loads(sink.communicate(timeout=DRAIN_S)[0])
            row.ours.append(round(calls * BULK / (seen["last_s"] - sent["began_s"]), 1))
            row.notes.append(f"{seen['signed']} of {seen['count']} signed")
            drained(server)
    return row


ACCOUNT = "123456789012"
EVENT_TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:bench-events"
EVENTS_OF_A_MAIL = 2
"""Send and Delivery."""
SUBSCRIBERS = 4


def call(server: Server, **parameters: str) -> None:
    """A call of the SES API that must succeed."""
    status = ask(server.http, Signer(ACCESS_KEY, SECRET_KEY, f"127.0.0.1:{server.http}").request(parameters))
    if status != 200:
        raise SystemExit(f"{parameters['Action']}: {status}")


def add_set(server: Server, name: str, told: bool) -> None:
    """A configuration set; `told`: with a topic for every Send and Delivery."""
    call(server, Action="CreateConfigurationSet", **{"ConfigurationSet.Name": name})
    if told:
        call(
            server,
            Action="CreateConfigurationSetEventDestination",
            ConfigurationSetName=name,
            **{
                "EventDestination.Name": "topic",
                "EventDestination.Enabled": "true",
                "EventDestination.MatchingEventTypes.member.1": "send",
                "EventDestination.MatchingEventTypes.member.2": "delivery",
                "EventDestination.SNSDestination.TopicARN": EVENT_TOPIC,
            },
        )


def admin_post(server: Server, path: str, body: dict[str, Any]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=30)
    login = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    connection.request("POST", f"/api/v1{path}", json.dumps(body), headers)
    answer = connection.getresponse()
    if answer.status not in (200, 201):
        raise SystemExit(f"POST {path}: {answer.status} {answer.read()[:300]!r}")
    connection.close()


@contextmanager
def subscribers(server: Server, count: int, target: int) -> Iterator[list["subprocess.Popen[str]"]]:
    """HTTP subscribers of the topic, each a process that ends once it has been told so often."""
    started = []
    with ExitStack() as stack:
        for port in processes.free_ports(count):
            command = [sys.executable, "-m", "tools.load.subscriber", "--port", str(port), "--target", str(target)]
            started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
            stack.callback(started[-1].terminate)
            processes.wait_for_port(port)
            path = f"/topics/{EVENT_TOPIC}/subscriptions"
            admin_post(server, path, {"endpoint": f"http://127.0.0.1:{port}/hook", "confirmed": True})
        yield started


def told_to(size: Size, count: int) -> Row:
    """Events that stand in the log already, told again: routing, payload, topic, signature, call and settlement."""
    who = "one subscriber" if count == 1 else f"{count} subscribers each"
    row = Row("S8", f"events to {who} over HTTP (aim: 3,000/s)", "/s", "none", 0, 0)
    for _ in range(size.rounds):
        with Server(STRICT) as server:
            verify_domains(server, "bench.example.com")
            add_set(server, "told", told=False)
            mails = size.of(10_000)
            load("ses", "--url", server.url, "-n", mails, "-c", 16, "--set", "told")
            drained(server)
            call(server, Action="DeleteConfigurationSet", ConfigurationSetName="told")
            add_set(server, "told", told=True)
            events = (mails + WARM_UP) * EVENTS_OF_A_MAIL
            with subscribers(server, count, events) as started:
                used_s, key = cpu_s(processes.tree(server.pid)), f"set:{ACCOUNT}:us-east-1:told:topic"
                admin_post(server, f"/destinations/{key}/replay?from=1", {})
                seen = [json.loads(each.communicate(timeout=DRAIN_S)[0]) for each in started]
                used_s = cpu_s(processes.tree(server.pid)) - used_s
            took_s = max(each["last_s"] for each in seen) - min(each["first_s"] for each in seen)
            row.ours.append(round(events / took_s, 1))
            row.notes.append(f"{used_s / events * 1e6:,.0f} µs of processor an event")
    return row


def slowed(size: Size) -> Row:
    """Sending by a set that tells a subscriber of everything, beside a set that tells nobody, in turn."""
    row = Row("S8", "SendEmail accepted, 16 callers, told to a subscriber", "/s", "told to nobody", 0.95, 0.95)
    mails = size.of(10_000)
    with Server(STRICT) as server:
        verify_domains(server, "bench.example.com")
        add_set(server, "told", told=True)
        add_set(server, "untold", told=False)
        with subscribers(server, 1, size.rounds * (mails + WARM_UP) * EVENTS_OF_A_MAIL) as started:
            for _ in range(size.rounds):
                for name, rates in (("told", row.ours), ("untold", row.theirs)):
                    used_s = cpu_s(processes.tree(server.pid))
                    sent = load("ses", "--url", server.url, "-n", mails, "-c", 16, "--set", name)
                    rates.append(sent["rate"])
                    drained(server)
                    all_told(server)
                    used_s = cpu_s(processes.tree(server.pid)) - used_s
                    row.notes.append(
                        f"{name} {used_s / mails * 1e6:,.0f} µs of processor a mail, p99 {sent['p99_ms']:.0f} ms"
                    )
            for each in started:
                each.communicate(timeout=DRAIN_S)
    return row


def all_told(server: Server) -> None:
    """Until nobody has anything left to hear."""
    ends = time.monotonic() + DRAIN_S
    while time.monotonic() < ends:
        shown = server.get("/metrics")[1].decode()
        waiting = server.admin(f"/topics/{EVENT_TOPIC}/subscriptions")["subscriptions"][0]["waiting"]
        idle = all(f"\nposthouse_{name} 0\n" in shown for name in ("events_unrouted", "publications_waiting"))
        if idle and not waiting:
            return
        time.sleep(0.2)
    raise SystemExit(f"not everything was told after {DRAIN_S:g} s")


def s8(size: Size) -> Iterator[Row]:
    """Events to HTTP subscribers of a built-in topic, and what telling costs those who send."""
    yield told_to(size, 1)
    yield told_to(size, SUBSCRIBERS)
    yield slowed(size)


def first_answer_s(port: int, start: Callable[[], None]) -> float:
    """From the start of a process to its first good answer to GetSendQuota."""
    began = time.perf_counter()
    start()
    while time.perf_counter() - began < 30:
        try:
            if (
                ask(port, Signer(ACCESS_KEY, SECRET_KEY, f"127.0.0.1:{port}").request({"Action": "GetSendQuota"}))
                == 200
            ):
                return round(time.perf_counter() - began, 3)
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
    raise SystemExit("no good answer within 30 s")


@contextmanager
def fresh_server() -> Iterator[Server]:
    """Not started yet; ended at the end."""
    server = Server(STRICT)
    try:
        yield server
    finally:
        server.close()


class QuickMoto(Moto):
    """Started without waiting: the first answer is what is measured."""

    def run(self, *argv: str | Path) -> None:
        self.pid = processes.start(list(map(str, argv)), self.directory / "log", cwd=self.directory)


def s9(size: Size) -> Iterator[Row]:
    """Start-up of a fresh installation, and proportional memory of all processes once many mails were sent."""
    start = Row("S9", "start to the first good answer (aim: 0.6 s)", " s", "moto", 0, 0)
    memory = Row("S9", f"memory (PSS) after {size.of(20_000)} mails (aim: 100 MB)", " MiB", "moto", 0, 0)
    for _ in range(size.rounds):
        with fresh_server() as server:
            start.ours.append(first_answer_s(server.http, partial(server.start, ready=False)))
            load("ses", "--url", server.url, "-n", size.of(20_000), "-c", 16)
            drained(server)
            memory.ours.append(pss_mib(processes.tree(server.pid)))
        moto = QuickMoto()
        start.theirs.append(first_answer_s(moto.port, moto.start))
        try:
            if not memory.theirs:
                load("ses", "--url", f"http://127.0.0.1:{moto.port}", "-n", size.of(20_000), "-c", 16)
                memory.theirs.append(pss_mib(processes.tree(moto.pid)))
        finally:
            moto.__exit__(None, None, None)
    yield start
    yield memory


MEASUREMENTS: dict[str, tuple[Callable[[Size], Iterator[Row]], tuple[str, ...]]] = {
    "S1": (s1, ()),
    "S2": (s2, ()),
    "S3": (s3, ("postfix", "opendkim")),
    "S4": (s4, ("postfix",)),
    "S5": (s5, ("postfix",)),
    "S7": (s7, ()),
    "S8": (s8, ()),
    "S9": (s9, ()),
}

# -- the report

COLUMNS = ("#", "work", "Posthouse", "peer", "ratio", "of single rounds", "aim (least)", "notes")


def machine() -> dict[str, Any]:
    """What a figure is worth nothing without."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "python": f"{platform.python_version()} ({platform.python_compiler()}, {sys.base_prefix})",
        "build": " ".join(platform.python_build()),
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor[1] if processor else platform.machine(),
        "system": platform.platform(),
        "load_before": [round(each, 2) for each in os.getloadavg()],
    }


def shown(row: Row) -> str:
    ours, theirs = (f"{statistics.median(side):,.6g}{row.unit}" if side else "-" for side in (row.ours, row.theirs))
    aim = f"{row.wanted:g}" + (f" ({row.least:g})" if row.least else "") if row.wanted else "-"
    cells = [row.number, row.work, ours, f"{row.peer} {theirs}", f"{row.ratio:.2f}", row.spread, aim]
    return f"| {' | '.join(cells)} | {'; '.join(dict.fromkeys(row.notes))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=lambda text: text.upper().split(","), default=list(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    if unknown := set(asked.only) - set(MEASUREMENTS):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(MEASUREMENTS)}")
    size = Size(1, 0.02) if asked.quick else Size(asked.rounds, 1)
    facts = machine()
    print("\n".join(f"{key}: {value}" for key, value in facts.items()), end="\n\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    rows = []
    for number in asked.only:
        measure, programs = MEASUREMENTS[number]
        if lacking := missing(*programs):
            print(f"| {number} | left out: waits for {', '.join(lacking)} | | | | | | |", flush=True)
            continue
        for row in measure(size):
            rows.append(row)
            print(shown(row), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"machine": facts, "rows": [row.as_json() for row in rows]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
