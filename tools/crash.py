#!/usr/bin/env python3
"""kill -9 under load, again and again: nothing that was answered with success may be lost.

    tools/crash.py --kills 50 --seed 1

The API (single, raw, templated and bulk), submission and the MX side are under load all the time; the next hop reports
some mail as undeliverable after it took it; a subscriber is told of deliveries and bounces. The whole server (mostly)
or one of its processes is killed at random moments, some of them while it starts; now and then the server is ended in
order. At the end every positive answer is held against what arrived at the next hop, the event log, the message list
and what the subscriber was told; for mail that came in, a receipt rule must have written it into a bucket. Exit status
1 where a promise was broken.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.server import ACCESS_KEY, SECRET_KEY, Server, refusing_dns
from tests.support.sink import Sink
from tools.load.ledger import Entry, Found, Verdict, judge
from tools.load.listener import Subscriber
from tools.load.mixed import HERE, SENDER, TEMPLATE, MixedLoad, Target
from tools.load.signing import Signer, smtp_password
from tools.load.sink import Arrival

CONCURRENCY = 20
"""Outgoing connections, and so the deliveries that can be in flight at a kill."""
BUCKET = "inbound"
RECEIPT = (
    {"Action": "CreateReceiptRuleSet", "RuleSetName": "crash"},
    {
        "Action": "CreateReceiptRule",
        "RuleSetName": "crash",
        "Rule.Name": "keep",
        "Rule.Enabled": "true",
        "Rule.Actions.member.1.AddHeaderAction.HeaderName": "X-Kept",
        "Rule.Actions.member.1.AddHeaderAction.HeaderValue": "yes",
        "Rule.Actions.member.2.S3Action.BucketName": BUCKET,
    },
    {"Action": "SetActiveReceiptRuleSet", "RuleSetName": "crash"},
)
SHOWN = 20
STOPPED = "stop in order"
WAYS = ("email", "raw", "templated", "bulk", "plain", "pipelined", "inbound")
TOPIC = "arn:aws:sns:us-east-1:123456789012:load"
STOPPED_WITHIN_S = 10.0


class NextHop:
    """What the sink answers: by the local part of a recipient, `later` only at its first attempt."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self._put_off: set[str] = set()

    def answer(self, stage: str, argument: str) -> str | None:
        if stage != "RCPT":
            return None
        recipient = argument.partition("<")[2].partition(">")[0]
        if recipient.startswith("bounce"):
            self.refused.add(recipient)
            return "550 5.1.1 nobody of that name"
        if recipient.startswith("later") and recipient not in self._put_off:
            self._put_off.add(recipient)
            return "451 4.3.0 come again"
        return None


class ReportingSink(Sink):
    """A next hop that reports on mail to `late` recipients, after it took it."""

    returns: SimpleQueue[tuple[str, str, str]] | None = None

    def _arrived(self, arrival: Arrival) -> None:
        late = [each for each in arrival.rcpt_to if each.startswith("late") and not self.counts[arrival.id, each]]
        super()._arrived(arrival)
        for recipient in late if self.returns is not None else ():
            self.returns.put((arrival.id, arrival.mail_from, recipient))


@dataclass
class Kills:
    """What was killed, and what went wrong right then."""

    done: Counter[str] = field(default_factory=Counter)
    at_s: list[tuple[float, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)

    def note(self, what: str) -> None:
        self.done[what] += 1
        self.at_s.append((time.time(), what))

    @property
    def in_flight(self) -> int:
        """Deliveries that the kills can have cut off at most."""
        return sum(count for what, count in self.done.items() if what != STOPPED) * CONCURRENCY

    def around(self, line: str) -> str:
        """The kills before and after the answer that a line tells of: who lost it?"""
        answered = re.search(r"answered at ([0-9.]+[0-9])", line)
        at_s = float(answered[1]) if answered else 0.0
        before = [f"{what} killed {at_s - when:.3f} s before" for when, what in self.at_s if when <= at_s]
        after = [f"{what} killed {when - at_s:.3f} s after" for when, what in self.at_s if when > at_s]
        return ", ".join(before[-1:] + after[:1])


def settings(sink: Sink) -> dict[str, Any]:
    return {
        **refusing_dns(),
        "auth.mode": "strict",
        "accounts.max_24_hour_send": -1,
        "accounts.max_send_rate": -1,
        "delivery.mode": "direct",
        "delivery.routes": {"*": sink.address},
        "delivery.retry_seconds": [0.2, 0.5, 1],
        "delivery.concurrency": CONCURRENCY,
        "delivery.per_domain_concurrency": CONCURRENCY,
        "log.format": "json",
    }


def verify(server: Server) -> None:
    """Makes the sender's domain and the one that mail comes in for known to the server, the template, and what is
    done with what comes in."""
    sender = SENDER.partition("@")[2]
    calls = [{"Action": "VerifyDomainIdentity", "Domain": domain} for domain in (sender, HERE)]
    calls += [
        {"Action": "SetIdentityNotificationTopic", "Identity": sender, "NotificationType": kind, "SnsTopic": TOPIC}
        for kind in ("Delivery", "Bounce", "Complaint")
    ]
    calls.append({"Action": "SetIdentityFeedbackForwardingEnabled", "Identity": sender, "ForwardingEnabled": "false"})
    template = {"TemplateName": TEMPLATE, "SubjectPart": "load id={{id}}", "TextPart": "Hello, {{id}}."}
    calls.append({"Action": "CreateTemplate", **{f"Template.{name}": value for name, value in template.items()}})
    for call in (*calls, *RECEIPT):
        _call(server, call)


def subscribe(server: Server, url: str) -> None:
    server.admin(f"/topics/{quote(TOPIC, safe='')}/subscriptions", {"endpoint": url, "confirmed": True})


def _call(server: Server, parameters: dict[str, str]) -> None:
    signer = Signer(ACCESS_KEY, SECRET_KEY, f"127.0.0.1:{server.http}")
    head, _, body = signer.request(parameters).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=20)
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{parameters['Action']}: {answer.status} {text.decode(errors='replace')}")


def kill_again_and_again(server: Server, kills: int, rnd: random.Random, record: Kills) -> None:
    """Mostly the whole server, now and then one child or a server that only just starts; ready again at the end."""
    while sum(record.done.values()) < kills:
        time.sleep(rnd.uniform(0.05, 1.5))
        if rnd.random() < 0.2 and server.children():
            kill_child(server, rnd, record)
            continue
        if rnd.random() < 0.15:
            stop_server(server, record)
        else:
            kill_server(server, record, "server")
        if rnd.random() < 0.15 and sum(record.done.values()) < kills:
            server.start(ready=False)
            time.sleep(rnd.uniform(0, 0.6))
            kill_server(server, record, "starting server")
        began = time.monotonic()
        server.start()
        record.start_s.append(time.monotonic() - began)


def kill_server(server: Server, record: Kills, what: str) -> None:
    record.note(what)
    left = server.kill9()
    if left:
        record.problems.append(f"children {left} outlived their parent by two seconds")
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def stop_server(server: Server, record: Kills) -> None:
    """An end in order: what is in flight comes to its end, so nothing may be repeated for it."""
    record.note(STOPPED)
    began = time.monotonic()
    status, took_s = server.terminate(2 * STOPPED_WITHIN_S), time.monotonic() - began
    if status != 0 or took_s > STOPPED_WITHIN_S + 1:
        record.problems.append(f"ended with status {status} {took_s:.1f} s after SIGTERM")


def kill_child(server: Server, rnd: random.Random, record: Kills) -> None:
    """One child; its parent puts another in its place."""
    before = server.children()
    number = rnd.randrange(len(before))
    record.note(f"child {number + 1} of {len(before)}")
    os.kill(before[number], signal.SIGKILL)
    ends = time.monotonic() + 10
    while len(server.children()) < len(before) or before[number] in server.children():
        if time.monotonic() > ends:
            record.problems.append(f"child {number + 1} was not started again within 10 s")
            return
        time.sleep(0.01)
    server.wait_ready()


def pages(server: Server, path: str, key: str) -> Iterator[dict[str, Any]]:
    """All entries of a listing of the admin API."""
    after: Any = ""
    while True:
        page = server.admin(f"{path}limit=1000&after={after}")
        yield from page[key]
        after = page["next"]
        if len(page[key]) < 1000 or after is None:
            return


def unwritten(server: Server, entries: list[Entry], patience_s: float) -> list[str]:
    """Mail that came in and that no rule has written into the bucket, once all has had its time."""
    taken = [each for each in entries if _kind(each) == "inbound" and each.message_id]
    ends = time.monotonic() + patience_s
    while left := [each for each in taken if not _is_written(server.data_dir / "s3" / BUCKET / each.message_id)]:
        if time.monotonic() > ends:
            return [f"{each.way} {each.message_id}, answered at {each.answered_s}: not in its bucket" for each in left]
        time.sleep(0.1)
    return []


def _is_written(path: Path) -> bool:
    return path.exists() and b"\r\nX-Kept: yes\r\n" in path.read_bytes()


def collect(server: Server, sink: Sink, subscriber: Subscriber | None = None) -> Found:
    events = list(pages(server, "/events?", "events"))
    told = None if subscriber is None else set(subscriber.told)
    return Found(dict(sink.counts), events, list(pages(server, "/messages?", "messages")), told)


def wait_for_the_news(server: Server, subscriber: Subscriber, load: MixedLoad, patience_s: float) -> None:
    """Until reports are read and the subscriber has been told of everything, or patience is over."""
    ends = time.monotonic() + patience_s
    topic = quote(TOPIC, safe="")
    before = -1
    while time.monotonic() < ends:
        waiting = sum(each["waiting"] for each in server.admin("/destinations")["destinations"])
        waiting += sum(each["waiting"] for each in server.admin(f"/topics/{topic}/subscriptions")["subscriptions"])
        if not waiting and subscriber.posts == before and not _unread(server):
            return
        before = subscriber.posts
        time.sleep(0.5)


def _unread(server: Server) -> int:
    """Events that nobody looked at, and mails in the inbox."""
    text = server.get("/metrics")[1].decode()
    return sum(
        int(each) for each in re.findall(r"^posthouse_(?:events_unrouted|inbox_in_flight)\S* (\d+)$", text, re.M)
    )


@dataclass
class Outcome:
    """All that a run leaves."""

    load: MixedLoad
    kills: Kills
    verdict: Verdict
    repeated: int
    """Transactions that brought a recipient a message once more."""
    emptied_s: float
    tracebacks: int
    told: int
    told_again: int


def run(asked: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    kills, hop = Kills(), NextHop()
    with (
        ReportingSink(hop.answer, keep=False) as sink,
        Subscriber() as subscriber,
        Server(settings(sink), directory) as server,
    ):
        verify(server)
        subscribe(server, subscriber.url)
        keys = (ACCESS_KEY, SECRET_KEY)
        target = Target(server.http, server.submission, server.inbound, keys, smtp_password(SECRET_KEY))
        with MixedLoad(target, asked.seed, lambda accepted: accepted - len(sink.counts) - len(hop.refused)) as load:
            sink.returns = load.returns
            kill_again_and_again(server, asked.kills, random.Random(asked.seed), kills)
            time.sleep(1)
            sink.returns = None
        began = time.monotonic()
        if not server.wait_queue_empty(asked.patience):
            left = len(server.admin("/queue?limit=1000")["queue"])
            kills.problems.append(f"the queue was not empty after {asked.patience:g} s: {left} recipients or more")
        emptied_s = time.monotonic() - began
        lost = unwritten(server, load.entries, asked.patience)
        wait_for_the_news(server, subscriber, load, asked.patience)
        verdict = judge(load.entries, collect(server, sink, subscriber))
        verdict.lost.extend(lost)
        if server.terminate() != 0:
            kills.problems.append("the exit status after SIGTERM was not 0")
        tracebacks = server.log.count("Traceback (most recent call last)")
    kills.problems += _idle_ways(load.entries)
    repeated = len(sink.repeated_at_s)
    if repeated > kills.in_flight:
        kills.problems.append(f"{repeated} deliveries repeated; in flight at kills were at most {kills.in_flight}")
    return Outcome(load, kills, verdict, repeated, emptied_s, tracebacks, len(subscriber.told), subscriber.again)


def summary(outcome: Outcome) -> dict[str, Any]:
    load, kills, verdict = outcome.load, outcome.kills, outcome.verdict
    return {
        "kills": dict(kills.done),
        "slowest_start_s": round(max(kills.start_s, default=0), 2),
        "accepted": dict(Counter(_kind(each) for each in load.entries if each.message_id)),
        "unanswered": load.unanswered,
        "refused": dict(load.refusals),
        "recipients": load.accepted_recipients,
        "delivered": verdict.delivered,
        "bounced": verdict.bounced,
        "queue_empty_after_s": round(outcome.emptied_s, 1),
        "reported": sum(len(each.reported) for each in load.entries),
        "told": outcome.told,
        "told_again": outcome.told_again,
        "repeated": outcome.repeated,
        "repeated_allowed": kills.in_flight,
        "lost": [f"{line} ({kills.around(line)})" for line in verdict.lost],
        "contradictions": verdict.contradictions,
        "problems": kills.problems,
        "tracebacks": outcome.tracebacks,
    }


def _kind(entry: Entry) -> str:
    return entry.way.partition("-")[0].rstrip("0123456789")


def _idle_ways(entries: list[Entry]) -> list[str]:
    """A run in which a way in took nothing proves nothing."""
    taken = Counter(_kind(each) for each in entries if each.message_id)
    return [f"nothing was accepted by {way}" for way in WAYS if not taken[way]]


def show(result: dict[str, Any]) -> None:
    for key, value in result.items():
        if isinstance(value, list):
            print(f"{key:20} {len(value)}")
            for line in value[:SHOWN]:
                print(f"    {line}")
        elif isinstance(value, dict):
            print(f"{key:20} {sum(value.values())}  {', '.join(f'{k} {v}' for k, v in sorted(value.items()))}")
        else:
            print(f"{key:20} {value}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--patience", type=float, default=120, help="seconds for the queue to become empty at the end")
    parser.add_argument("--keep", type=Path, help="leave data and log in this directory")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")
    asked = parser.parse_args()
    directory = asked.keep or Path(tempfile.mkdtemp(prefix="posthouse-crash-"))
    began = time.monotonic()
    result = summary(run(asked, directory))
    result = {"seed": asked.seed, "seconds": round(time.monotonic() - began, 1), **result}
    broken = bool(result["lost"] or result["contradictions"] or result["problems"])
    print(json.dumps(result)) if asked.json else show(result)
    if broken:
        print(f"broken promises; data and log are in {directory}", file=sys.stderr)
    elif not asked.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
