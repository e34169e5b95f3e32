"""Are all events told, whatever fails? Short runs of the harness, and proof that it would see a broken promise."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.load.subscriber import Count, line_of
from tools.load.told import judge

ROOT = Path(__file__).parents[2]
LOG = [("Send", "a"), ("Send", "b"), ("Delivery", "b"), ("Delivery", "a")]


def run(*words: object) -> dict[str, Any]:
    command = [sys.executable, "tools/events.py", "--json", "--seed", "1", "--patience", "90", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.stdout, done.stderr
    [result] = json.loads(done.stdout).values()
    assert (result["problems"], result["dead_letters"]) == ([], 0), result
    for destination in ("subscriber", "stream"):
        told = result[destination]
        assert (told["lost"], told["disordered"], told["invented"]) == ([], [], []), result
    assert done.returncode == 0
    return dict(result)


def test_nothing_is_lost_at_destinations_that_fail_half_the_time_over_kills() -> None:
    result = run("--only", "built-in", "--events", 2000, "--kills", 3)
    assert result["events"] >= 2000
    assert result["calls"] > 1.5 * 2000, "half of the calls have failed"


def test_nothing_is_lost_while_sns_is_away() -> None:
    assert run("--only", "aws", "--events", 300, "--kills", 1)["events"] >= 300


def test_a_kept_promise_is_no_finding() -> None:
    verdict = judge(LOG, [LOG[1], LOG[0], LOG[3], LOG[0], LOG[2]])
    assert verdict.is_kept
    assert verdict.repeated == 1


def test_what_was_never_told_is_lost() -> None:
    assert judge(LOG, LOG[:3]).lost == ["Delivery of a"]


def test_what_was_told_first_counts_for_the_order() -> None:
    assert judge(LOG, [*LOG, LOG[0]]).is_kept
    wrong = [LOG[1], LOG[2], LOG[3], LOG[0], LOG[3]]
    assert judge(LOG, wrong).disordered == ["a: Delivery, Send"]
    assert judge(LOG, wrong, ordered=False).is_kept


def test_what_never_happened_is_invented() -> None:
    assert judge(LOG, [*LOG, ("Bounce", "a")]).invented == ["Bounce of a"]


def test_the_subscriber_fails_as_often_as_it_is_told_to() -> None:
    count = Count(0, 0.5, 3, None)
    answers = [count.answer(b"{}") for _ in range(3000)]
    assert 1300 < sum(b"200 OK" in answer for answer in answers) < 1700
    assert sum(b"500" in answer for answer in answers) > 400
    assert sum(not answer for answer in answers) > 800, "half of those took it all the same"
    assert count.taken > sum(b"200 OK" in answer for answer in answers) + 400


def test_the_ledger_has_events_alone() -> None:
    assert line_of('{"eventType":"Send","mail":{"messageId":"a"}}\n') == "Send a\n"
    assert line_of("Successfully validated SNS topic for Amazon SES event publishing.") == ""
