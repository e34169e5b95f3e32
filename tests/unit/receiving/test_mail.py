"""Mail on its way through the rules: what is kept between two looks, what a crash repeats, when it is given up."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.context import Callers
from tests.unit.receiving.counter import (
    ANN,
    DOMAIN,
    FUNCTION,
    HELP,
    LAMBDA,
    MAIL,
    S3,
    SALES,
    SENDER,
    SNS,
    STOP,
    WORKMAIL,
    Counter,
    header,
    open_counter,
    told,
)

from posthouse.domain.receipt_progress import FIRST_RETRY_MS, GIVE_UP_MS, LAST_RETRY_MS, Progress, after_failure
from posthouse.ports.functions import CallFailed
from posthouse.ports.mailstore import Settled
from posthouse.ports.objects import WriteFailed

BOB = Callers.BOB


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    async with open_counter() as counter:
        yield counter


async def test_the_events_of_a_mail_tell_rule_by_rule_what_was_done(counter: Counter) -> None:
    await counter.rule(S3, name="keep", Recipients__member__1=HELP)
    await counter.rule(SNS, name="off", after="keep", Enabled="false")
    await counter.rule(SNS, name="other", after="off", Recipients__member__1=SALES)
    await counter.rule(STOP, name="end", after="other")
    message_id = await counter.comes_through()
    rules, kept, stopped = await counter.details(message_id)
    assert rules["rule_set"] == "inbound"
    assert rules["rules"] == [
        {"rule": "keep", "outcome": "applies", "recipients": [HELP]},
        {"rule": "off", "outcome": "is disabled"},
        {"rule": "other", "outcome": "matches no recipient"},
        {"rule": "end", "outcome": "applies", "recipients": [HELP]},
    ]
    assert rules["verdicts"] == {
        "spam": "DISABLED", "virus": "DISABLED", "spf": "PASS", "dkim": "PASS", "dmarc": "PASS"
    }  # fmt: skip
    assert kept == {
        "rule": "keep", "action": "S3", "result": "done", "text": f"written to s3://mail/{message_id}"
    }  # fmt: skip
    assert (stopped["action"], stopped["end"]) == ("Stop", True)
    assert "end" not in rules
    assert await counter.stores.inbox.depth() == 0


async def test_a_rule_without_actions_takes_mail_and_does_nothing_with_it(counter: Counter) -> None:
    await counter.rule(name="empty")
    message_id = await counter.comes_through()
    [only] = await counter.details(message_id)
    assert only["rules"] == [{"rule": "empty", "outcome": "applies", "recipients": [HELP]}]
    assert only["end"] is True
    assert await counter.stores.inbox.depth() == 0


async def test_without_an_active_rule_set_mail_is_kept_and_nothing_is_looked_up(counter: Counter) -> None:
    await counter.ses.call("SetActiveReceiptRuleSet")
    message_id = await counter.comes_through()
    assert await counter.details(message_id) == [{"end": True}]
    assert counter.inspector.looked == []


async def test_the_rules_are_those_of_the_time_of_receipt(counter: Counter) -> None:
    await counter.rule(S3)
    message_id = await counter.arrives()
    await counter.ses.call("DeleteReceiptRule", RuleSetName="inbound", RuleName="first")
    await counter.rule(SNS, name="new")
    await counter.ses.call("SetActiveReceiptRuleSet")
    await counter.work()
    assert await counter.runs(message_id) == [("first", "S3", "done")]


async def test_verdicts_are_found_out_once_and_each_rule_sees_its_own(counter: Counter) -> None:
    await counter.rule({**S3, "S3Action.ObjectKeyPrefix": "a"}, ScanEnabled="true")
    await counter.rule({**S3, "S3Action.ObjectKeyPrefix": "b"}, LAMBDA, name="second", after="first")
    counter.functions.answers[FUNCTION] = CallFailed("down")
    message_id = await counter.comes_through()
    for _ in range(3):
        counter.clock.at_ms += LAST_RETRY_MS
        await counter.work()
    [(content, mail, scan)] = counter.inspector.looked
    assert content.endswith(MAIL)
    assert (mail.client_ip, mail.helo, mail.mail_from, mail.recipients, scan) == (
        "192.0.2.9", "mx.partner.example", SENDER, (HELP,), True
    )  # fmt: skip
    assert b"X-SES-Spam-Verdict: FAIL" in counter.objects.written["mail", f"a/{message_id}"]
    assert b"X-SES-Spam-Verdict" not in counter.objects.written["mail", f"b/{message_id}"]


async def test_nothing_is_scanned_where_no_rule_asks_for_it(counter: Counter) -> None:
    await counter.rule(S3)
    await counter.comes_through()
    assert [scan for *_, scan in counter.inspector.looked] == [False]


async def test_forged_verdicts_are_taken_out(counter: Counter) -> None:
    await counter.rule(S3)
    forged = b"X-SES-Spam-Verdict: PASS\r\nAuthentication-Results: posthouse.test; dmarc=pass\r\n"
    message_id = await counter.comes_through(forged + MAIL)
    content = counter.objects.written["mail", message_id]
    assert b"X-SES-Spam-Verdict" not in content
    assert content.count(b"Authentication-Results") == 1


async def test_each_rule_has_the_recipients_that_it_matched(counter: Counter) -> None:
    await counter.rule(LAMBDA, name="help", Recipients__member__1=HELP)
    await counter.rule(LAMBDA, name="all", after="help")
    await counter.comes_through(MAIL, SALES, HELP)
    events = [msgspec.json.decode(event) for _, event, _ in counter.functions.called]
    found = [event["Records"][0]["ses"]["receipt"]["recipients"] for event in events]
    assert found == [[HELP], [SALES, HELP]]


async def test_the_plan_stays_small_where_many_rules_mean_many_recipients(counter: Counter) -> None:
    for n in range(20):
        await counter.rule(S3, name=f"r{n}", after=f"r{n - 1}" if n else "")
    many = [f"user{n}@{DOMAIN}" for n in range(1000)]
    await counter.arrives(MAIL, *many)
    [mail] = await counter.claim()
    assert len(mail.stage) < 20_000
    await counter.handle(mail)
    [told] = [each for each in await counter.details(mail.facts.message_id) if "rules" in each]
    assert [len(each["recipients"]) for each in told["rules"]] == [10] * 20


async def test_each_account_runs_its_own_rules(counter: Counter) -> None:
    await counter.rule({**S3, "S3Action.BucketName": "anns"})
    await counter.ses.call("VerifyDomainIdentity", BOB, Domain=DOMAIN)
    await counter.ses.call("CreateReceiptRuleSet", BOB, RuleSetName="inbound")
    await counter.ses.call("SetActiveReceiptRuleSet", BOB, RuleSetName="inbound")
    await counter.rule({**S3, "S3Action.BucketName": "bobs"}, caller=BOB)
    await counter.comes_through()
    assert [bucket for bucket, _ in counter.objects.written] == ["anns", "bobs"]
    [(_, one), (_, other)] = counter.objects.written
    assert one != other


# -- again, and given up


async def test_what_fails_is_tried_again_later_and_later_and_then_dropped_for_all_to_see(counter: Counter) -> None:
    await counter.rule(told(S3), SNS)
    await counter.rule(WORKMAIL, name="second", after="first")
    counter.objects.refusals["mail"] = WriteFailed("down")
    began_ms = counter.clock.at_ms
    message_id = await counter.arrives()
    waits = []
    while await counter.stores.inbox.depth():
        await counter.work()
        due_ms = await counter.stores.inbox.next_due_ms()
        if due_ms is not None:
            waits.append(due_ms - counter.clock.at_ms)
            counter.clock.at_ms = due_ms
    assert waits[:4] == [FIRST_RETRY_MS, FIRST_RETRY_MS * 2, FIRST_RETRY_MS * 4, FIRST_RETRY_MS * 8]
    assert max(waits) == LAST_RETRY_MS
    assert GIVE_UP_MS <= counter.clock.at_ms - began_ms < GIVE_UP_MS + LAST_RETRY_MS
    runs = await counter.runs(message_id)
    assert set(runs[:-2]) == {("first", "S3", "to be tried again")}
    assert len(runs) < 50
    # The rest of its rule goes with it, the next rule does not.
    assert runs[-2:] == [("first", "S3", "given up"), ("second", "WorkMail", "done")]
    assert counter.topics.published == []
    tried = await counter.details(message_id)
    assert tried[1]["due_ms"] == began_ms + FIRST_RETRY_MS
    counted = counter.counted()
    assert (counted["S3", "failure"], counted["S3", "expired"], counted["WorkMail", "success"]) == (len(waits), 1, 1)


async def test_each_action_has_four_hours_of_its_own(counter: Counter) -> None:
    await counter.rule(S3, LAMBDA)
    counter.objects.refusals["mail"] = WriteFailed("down")
    counter.functions.answers[FUNCTION] = CallFailed("down")
    message_id = await counter.comes_through()
    counter.clock.at_ms += GIVE_UP_MS - 1
    counter.objects.refusals.clear()
    await counter.work()
    counter.clock.at_ms += 60_000
    await counter.work()
    assert [result for *_, result in await counter.runs(message_id)] == [
        "to be tried again", "done", "to be tried again", "to be tried again"
    ]  # fmt: skip


def test_waits_are_bounded_whatever_is_kept() -> None:
    progress = Progress(rule_set="r", rules=(), tries=10_000_000)
    after = after_failure(progress, 1000, None)
    assert after is not None
    assert after[1] - 1000 == LAST_RETRY_MS


# -- crashes


class Broken(Exception):
    """The process fell over."""


async def test_a_crash_repeats_the_action_in_flight_and_none_before_it(counter: Counter) -> None:
    await counter.rule(S3, header("X-A", "1"), SNS, WORKMAIL)
    message_id = await counter.arrives()
    [mail] = await counter.claim()
    whole = counter.mail_store.deliver

    async def falls_over(*_: Any) -> Any:
        raise Broken

    counter.mail_store.deliver = falls_over  # type: ignore[method-assign]
    with pytest.raises(Broken):
        await counter.handle(mail)
    # Its lease runs out, and somebody else takes it over.
    counter.mail_store.deliver = whole  # type: ignore[method-assign]
    counter.objects.written.clear()
    counter.clock.at_ms += 60_000
    await counter.work()
    assert counter.objects.written == {}
    assert len(counter.topics.published) == 1
    [(_, content)] = counter.mail_store.stored
    assert b"X-A: 1" in content
    assert [action for _, action, _ in await counter.runs(message_id)] == ["S3", "AddHeader", "SNS", "WorkMail"]
    assert len(counter.inspector.looked) == 1


async def test_who_has_lost_the_lease_does_nothing_more(counter: Counter) -> None:
    await counter.rule(S3, SNS)
    await counter.arrives()
    [mail] = await counter.claim()
    counter.clock.at_ms += 60_000
    [_] = await counter.claim("other")
    assert await counter.handle(mail) == [Settled.LOST]
    assert counter.objects.written == {}
    assert counter.topics.published == []


async def test_a_mail_deleted_meanwhile_is_left_alone(counter: Counter) -> None:
    await counter.rule(S3)
    message_id = await counter.arrives()
    [mail] = await counter.claim()
    content = await counter.stores.messages.content(ANN.scope, message_id)
    assert content is not None
    await counter.stores.messages.delete(ANN.scope, message_id)
    settlement = await counter.handler.handle(mail, content)
    assert await counter.stores.inbox.settle("w", [settlement]) == [Settled.LOST]
    assert counter.objects.written == {}
