#!/usr/bin/env python3
"""Do all events reach their destinations, whatever fails? Real destinations that fail half the time, and kill -9.

    tools/events.py --events 100000 --kills 10
    tools/events.py --events 2000 --only aws --json

Two runs against the real server, a mail being two events (Send, Delivery):

  built-in   an HTTP subscriber that answers 500 or hangs up half the time, before or after it took the notification;
             beside it a stream whose directory is unusable for moments; two engine processes; the server is killed
             now and then, all of it, and started again
  aws        SNS by its protocol at a moto that is ended and started again, empty; a stream as above; one engine process

In the end every event of the log must have arrived, those of one message in their order. See docs/performance.md.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import processes
from tests.support.front import Front
from tests.support.moto import ACCESS, ACCOUNT, Moto
from tests.support.sdk import ses_client
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server
from tools.load.measure import new_loop
from tools.load.ses import connect, message_id_of, send_email
from tools.load.signing import Signer
from tools.load.subscriber import line_of
from tools.load.told import Told, judge

ROOT = Path(__file__).parents[1]
SOURCE = "sender@load.example.com"
SET = "load"
TOPIC_NAME, STREAM = "load-events", "load-events"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:{TOPIC_NAME}"
STREAM_ARN = f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/{STREAM}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ses-events"
TYPES = ["send", "reject", "bounce", "complaint", "delivery", "open", "click", "renderingFailure"]
EVENTS_OF_A_MAIL = 2
CALLERS = 8
AWS_MOST = 5_000
"""moto takes some 200 messages a second."""
SHOWN = 20
UNLIMITED = {"accounts.max_24_hour_send": -1, "accounts.max_send_rate": -1, "log.format": "json"}


class Senders(threading.Thread):
    """Sends so many mails, over and over again where the server is away."""

    def __init__(self, port: int, mails: int) -> None:
        super().__init__(name="senders", daemon=True)
        self._port, self._left = port, mails
        self.accepted: set[str] = set()

    def run(self) -> None:
        new_loop().run_until_complete(self._all())

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(CALLERS):
                tasks.create_task(self._one(number))

    async def _one(self, caller: int) -> None:
        signer, number, connection = Signer(ACCESS_KEY, SECRET_KEY, f"127.0.0.1:{self._port}"), 0, None
        while self._left > 0:
            if connection is None or connection.closed:
                try:
                    connection = await connect("127.0.0.1", self._port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
            self._left -= 1
            number += 1
            parameters = send_email(SOURCE, [f"user{number}@example.net"], f"load id={caller}-{number}")
            status, body = await connection.ask(signer.request({**parameters, "ConfigurationSetName": SET}))
            if status == 200:
                self.accepted.add(message_id_of(body))
            else:
                self._left += 1


class Flapping(threading.Thread):
    """A directory that cannot be used about half the time: a link that leads to a file instead, exchanged in one
    step. (Taking permissions away would not keep root out.)"""

    def __init__(self, link: Path, seed: int) -> None:
        super().__init__(name="flapping", daemon=True)
        self._link, self._random = link, random.Random(seed)
        self._good, self._bad = link.with_name(f"{link.name}-good"), link.with_name(f"{link.name}-bad")
        link.parent.mkdir(parents=True, exist_ok=True)
        self._good.mkdir()
        self._bad.touch()
        self._lead_to(self._good)
        self._ending = threading.Event()

    def _lead_to(self, place: Path) -> None:
        fresh = self._link.with_name(f"{self._link.name}-next")
        fresh.symlink_to(place)
        fresh.rename(self._link)

    def run(self) -> None:
        while not self._ending.is_set():
            self._lead_to(self._bad)
            self._ending.wait(self._random.uniform(0.05, 0.3))
            self._lead_to(self._good)
            self._ending.wait(self._random.uniform(0.05, 0.3))

    def end(self) -> None:
        """Good from now on."""
        self._ending.set()
        self.join()

    def lines(self) -> list[str]:
        """In the order of the files' last writing. What has no end was cut off by a kill."""
        files = sorted(self._good.glob("*/*/*/*/*/*.jsonl"), key=lambda file: file.stat().st_mtime_ns)
        return [line for file in files for line in file.read_text().split("\n")[:-1]]


@contextmanager
def subscriber(port: int, failing: float, seed: int, ledger: Path) -> Iterator["subprocess.Popen[str]"]:
    words = ["--port", port, "--failing", failing, "--seed", seed, "--ledger", ledger]
    command = [sys.executable, "-m", "tools.load.subscriber", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        processes.wait_for_port(port)
        yield process
    finally:
        process.terminate()
        process.wait()


def set_up(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain=SOURCE.partition("@")[2])
    ses.create_configuration_set(ConfigurationSet={"Name": SET})
    for name, destination in (
        ("topic", {"SNSDestination": {"TopicARN": TOPIC}}),
        ("stream", {"KinesisFirehoseDestination": {"IAMRoleARN": ROLE, "DeliveryStreamARN": STREAM_ARN}}),
    ):
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=SET,
            EventDestination={"Name": name, "Enabled": True, "MatchingEventTypes": TYPES, **destination},
        )


def subscribe(server: Server, url: str) -> None:
    asked = urllib.request.Request(
        f"{server.url}/api/v1/topics/{TOPIC}/subscriptions",
        json.dumps({"endpoint": url, "confirmed": True}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(asked, timeout=20).read()


def kill_now_and_then(server: Server, senders: Senders, kills: int, rnd: random.Random) -> list[str]:
    """While mail is sent, or for a while after; what went wrong."""
    problems = []
    for _ in range(kills):
        time.sleep(rnd.uniform(0.3, 1.5))
        if left := server.kill9():
            problems.append(f"children {left} outlived their parent by two seconds")
        server.start()
    senders.join()
    return problems


def until(is_so: Callable[[], bool], patience_s: float) -> bool:
    ends = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > ends:
            return False
        time.sleep(0.1)
    return True


def all_told(server: Server) -> bool:
    lines = server.get("/metrics")[1].decode().splitlines()
    shown = dict(line.rsplit(" ", 1) for line in lines if line.startswith("posthouse_") and "{" not in line)
    waiting = ("posthouse_queue_recipients", "posthouse_events_unrouted", "posthouse_publications_waiting")
    if any(float(shown[name]) for name in waiting):
        return False
    listed = server.admin(f"/topics/{TOPIC}/subscriptions") if server.admin("/topics")["topics"] else {}
    return not any(each["waiting"] for each in listed.get("subscriptions", ()))


def logged(server: Server) -> list[Told]:
    """The whole event log, as far as it is of the set."""
    found: list[Told] = []
    after: Any = ""
    while True:
        page = server.admin(f"/events?limit=1000&after={after}")
        found += [(each["type"], each["message_id"]) for each in page["events"]]
        after = page["next"]
        if len(page["events"]) < 1000 or after is None:
            return found


def read_told(lines: Sequence[str]) -> list[Told]:
    return [(kind, message) for kind, _, message in (line.partition(" ") for line in lines if line)]


def verdict_of(
    server: Server, senders: Senders, ordered: Mapping[str, tuple[Sequence[str], bool]], problems: list[str]
) -> dict[str, Any]:
    """`ordered`: what each destination took, and whether its order means something."""
    log = logged(server)
    unlogged = senders.accepted - {message for _, message in log}
    problems += [f"{message} was accepted and is not in the log" for message in sorted(unlogged)[:SHOWN]]
    result: dict[str, Any] = {"events": len(log), "types": dict(Counter(kind for kind, _ in log))}
    for name, (lines, is_ordered) in ordered.items():
        result[name] = asdict(judge(log, read_told(lines), ordered=is_ordered))
    listed = server.admin("/destinations?limit=1000")["destinations"]
    result["dead_letters"] = sum(each["dead_letters"] for each in listed)
    result["problems"] = problems
    return result


def built_in(asked: argparse.Namespace, directory: Path) -> dict[str, Any]:
    port, ledger = processes.free_port(), directory / "arrivals.txt"
    settings = {**UNLIMITED, "processes.engines": 2, "sns.retry_seconds": [0, *[0.2] * 100]}
    with ExitStack() as stack:
        hook = stack.enter_context(subscriber(port, 0.5, asked.seed, ledger))
        server = Server(settings, directory)
        flapping = Flapping(server.data_dir / "firehose", asked.seed)
        stack.enter_context(server)
        set_up(server)
        subscribe(server, f"http://127.0.0.1:{port}/hook")
        senders = Senders(server.http, asked.events // EVENTS_OF_A_MAIL)
        flapping.start()
        senders.start()
        problems = kill_now_and_then(server, senders, asked.kills, random.Random(asked.seed))
        # Half of what it takes is told while it fails; then it may end.
        until(lambda: all_told(server), asked.patience / 2)
        flapping.end()
        if not until(lambda: all_told(server), asked.patience):
            problems.append("not everything was told in time")
        letters = server.admin(f"/topics/{TOPIC}/dead-letters")["dead_letters"]
        problems += [f"a dead letter: {each['reason']}" for each in letters[:SHOWN]]
        hook.terminate()
        counted = json.loads(hook.communicate(timeout=30)[0])
        arrived = ledger.read_text().splitlines()
        streamed = [line_of(line).strip() for line in flapping.lines()]
        told = {"subscriber": (arrived, True), "stream": (streamed, False)}
        result = verdict_of(server, senders, told, problems)
    return {**result, "calls": counted["calls"], "kills": asked.kills}


def by_aws(asked: argparse.Namespace, directory: Path) -> dict[str, Any]:
    port, ledger = processes.free_port(), directory / "arrivals.txt"
    rnd = random.Random(asked.seed)
    with ExitStack() as stack:
        hook = stack.enter_context(subscriber(port, 0.0, asked.seed, ledger))
        moto = stack.enter_context(Moto(directory))
        make_topic(moto, port)
        door = Front(moto.port, port=processes.free_port())
        door.__enter__()
        endpoint = f"http://127.0.0.1:{door.port}"
        settings = {**UNLIMITED, "processes.engines": 1, "sns.backend": "aws", "aws.sns_endpoint_url": endpoint}
        server = Server(settings, directory)
        server.environment |= ACCESS
        flapping = Flapping(server.data_dir / "firehose", asked.seed)
        stack.enter_context(server)
        set_up(server)
        senders = Senders(server.http, min(asked.events, AWS_MOST) // EVENTS_OF_A_MAIL)
        flapping.start()
        senders.start()
        problems: list[str] = []
        for _ in range(max(1, asked.kills // 5)):
            time.sleep(rnd.uniform(0.5, 1.5))
            moto.__exit__()
            door.__exit__()
            moto.__enter__()
            # Behind a shut door: what is published to a topic without subscribers nobody hears of.
            make_topic(moto, port)
            door = Front(moto.port, port=door.port)
            door.__enter__()
        senders.join()
        until(lambda: all_told(server), asked.patience / 2)
        flapping.end()
        if not until(lambda: all_told(server), asked.patience):
            problems.append("not everything was told in time")
        door.__exit__()
        hook.terminate()
        hook.communicate(timeout=30)
        streamed = [line_of(line).strip() for line in flapping.lines()]
        told = {"subscriber": (ledger.read_text().splitlines(), True), "stream": (streamed, True)}
        return verdict_of(server, senders, told, problems)


def make_topic(moto: Moto, port: int) -> None:
    """Anew: moto forgets everything when it ends."""
    sns = moto.client("sns")
    sns.create_topic(Name=TOPIC_NAME)
    sns.subscribe(TopicArn=TOPIC, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/hook")


RUNS = {"built-in": built_in, "aws": by_aws}


def broken(result: Mapping[str, Any]) -> bool:
    verdicts = [each for each in result.values() if isinstance(each, dict) and "lost" in each]
    return bool(
        result["problems"]
        or result["dead_letters"]
        or any(each["lost"] or each["disordered"] or each["invented"] for each in verdicts)
    )


def shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    return (
        [*value[:SHOWN], f"and {len(value) - SHOWN} more"] if isinstance(value, list) and len(value) > SHOWN else value
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--only", choices=tuple(RUNS))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--patience", type=float, default=600, help="seconds until everything must have been told")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    is_broken = False
    for name in [asked.only] if asked.only else RUNS:
        directory, began = Path(tempfile.mkdtemp(prefix="posthouse-events-")), time.monotonic()
        result = RUNS[name](asked, directory)
        results[name] = {"seed": asked.seed, "seconds": round(time.monotonic() - began, 1), **shortened(result)}
        if broken(result):
            is_broken = True
            print(f"broken promises; data and log are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(results) if asked.json else json.dumps(results, indent=2))
    return int(is_broken)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        sys.exit(main())
