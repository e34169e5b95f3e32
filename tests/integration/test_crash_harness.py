"""The crash harness itself: a short run against the real server, and proof that it would see a broken promise."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.load.ledger import Entry, Found, judge

ROOT = Path(__file__).parents[2]
RECIPIENT = "ok-1@a.example.net"


def test_nothing_that_was_accepted_is_lost_over_kills() -> None:
    asked = [sys.executable, "tools/crash.py", "--kills", "3", "--seed", "1", "--json", "--patience", "90"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert (result["lost"], result["contradictions"], result["problems"]) == ([], [], []), result
    assert done.returncode == 0
    assert result["delivered"] + result["bounced"] == result["recipients"] > 50
    assert sum(result["kills"].values()) == 3


def entry(way: str = "email-api0", **more: Any) -> Entry:
    return Entry("email-api0-1", way, more.pop("recipients", (RECIPIENT,)), message_id="m1", answered_s=1.0)


def found(*, arrived: int = 1, events: tuple[str, ...] = ("Delivery",), status: str = "delivered") -> Found:
    listed = {
        "message_id": "m1",
        "direction": "out",
        "subject": "load id=email-api0-1",
        "recipients": [{"recipient": RECIPIENT, "status": status}],
    }
    log = [{"type": each, "message_id": "m1", "recipients": [RECIPIENT]} for each in ("Send", *events)]
    return Found({("email-api0-1", RECIPIENT): arrived}, log, [listed])


def test_a_kept_promise_is_no_finding() -> None:
    verdict = judge([entry()], found())
    assert (verdict.lost, verdict.contradictions, verdict.delivered) == ([], [], 1)


def test_a_mail_that_never_arrived_is_lost_even_if_an_event_claims_delivery() -> None:
    assert judge([entry()], found(arrived=0)).lost


def test_a_report_that_was_taken_makes_a_bounce_of_a_delivery() -> None:
    recipient = "late-1@a.example.net"
    reported = entry(recipients=(recipient,))
    reported.reported.add(recipient)

    def seen(*types: str) -> Found:
        listed = {**found().messages[0], "recipients": [{"recipient": recipient, "status": "delivered"}]}
        log = [{"type": each, "message_id": "m1", "recipients": [recipient]} for each in types]
        return Found({("email-api0-1", recipient): 1}, log, [listed], {(each, "m1", recipient) for each in types})

    verdict = judge([reported], seen("Delivery", "Bounce"))
    assert (verdict.lost, verdict.contradictions) == ([], [])
    assert judge([reported], seen("Delivery")).contradictions
    assert judge([reported], seen("Delivery", "Bounce", "Bounce")).contradictions


def test_an_event_that_no_subscriber_was_told_of_is_lost() -> None:
    seen = found()
    assert judge([entry()], replace(seen, told=frozenset())).lost
    assert not judge([entry()], replace(seen, told={("Delivery", "m1", RECIPIENT)})).lost


def test_no_answer_is_no_promise() -> None:
    unanswered = Entry("email-api0-1", "email-api0", (RECIPIENT,))
    verdict = judge([unanswered], Found({}, [], []))
    assert (verdict.lost, verdict.contradictions) == ([], [])


def test_two_final_events_contradict_each_other() -> None:
    assert judge([entry()], found(events=("Delivery", "Bounce"))).contradictions


def test_a_missing_final_event_is_a_contradiction() -> None:
    assert judge([entry()], found(events=())).contradictions


def test_a_state_that_differs_from_the_event_is_a_contradiction() -> None:
    assert judge([entry()], found(status="queued")).contradictions


def test_an_unanswered_message_needs_one_end_too() -> None:
    unanswered = Entry("email-api0-1", "email-api0", (RECIPIENT,))
    assert judge([unanswered], found(events=())).contradictions


def test_inbound_mail_that_is_done_with_twice_is_a_contradiction() -> None:
    inbound = entry("inbound0", recipients=("ok-1@inbound.example.org",))
    listed = {
        "message_id": "m1",
        "direction": "in",
        "subject": "load id=email-api0-1",
        "recipients": [{"recipient": "ok-1@inbound.example.org", "status": "received"}],
    }
    steps = [{"rules": []}, {"action": "AddHeader"}, {"action": "S3", "end": True}]
    log = [{"type": "Received", "message_id": "m1", "recipients": [], "detail": each} for each in steps]
    assert not judge([inbound], Found({}, log, [listed])).contradictions
    assert judge([inbound], Found({}, [*log, log[-1]], [listed])).contradictions


def test_inbound_mail_that_is_not_listed_is_lost() -> None:
    inbound = entry("inbound0", recipients=("ok-1@inbound.example.org",))
    assert judge([inbound], Found({}, [], [])).lost
