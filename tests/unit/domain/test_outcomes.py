"""Replies judged: delivered, tried again, bounced, expired."""

import pytest

from posthouse.domain.outcomes import (
    Bounced,
    BounceKind,
    Deferred,
    Delivered,
    Notice,
    RetryPlan,
    bounce_kind,
    delay_type,
    judge,
    reply_line,
    shortest_wait_ms,
    status_of,
)

PLAN = RetryPlan((60.0, 300.0), 50_400_000)
NOW = 1_700_000_000_000


def said(code: int, enhanced: str = "", text: str = "text") -> Notice:
    return Notice(code, enhanced, text)


@pytest.mark.parametrize("code", [200, 250, 251, 299])
def test_2yz_is_delivered(code: int) -> None:
    assert judge(said(code), 1, NOW, NOW, PLAN, 0.5) == Delivered(said(code))


@pytest.mark.parametrize("code", [334, 354, 421, 450, 499])
def test_anything_else_below_500_is_temporary(code: int) -> None:
    assert judge(said(code), 1, NOW, NOW, PLAN, 0.5) == Deferred(NOW + 60_000, said(code))


def test_5yz_bounces_at_once() -> None:
    assert judge(said(550, "5.1.1"), 1, NOW, NOW, PLAN, 0.5) == Bounced(
        BounceKind("Permanent", "NoEmail"), said(550, "5.1.1")
    )


def test_waits_grow_and_the_last_one_repeats() -> None:
    waits = [judge(said(450), n, NOW, NOW, PLAN, 0.5) for n in (1, 2, 3, 10)]
    assert [w.until_ms - NOW for w in waits if isinstance(w, Deferred)] == [60_000, 300_000, 300_000, 300_000]


def test_waits_are_spread() -> None:
    assert (PLAN.wait_ms(1, 0.0), PLAN.wait_ms(1, 0.999)) == (48_000, 71_976)
    assert shortest_wait_ms(PLAN) == 48_000


def test_the_last_attempt_comes_at_the_greatest_age_and_no_later() -> None:
    queued = NOW - 50_400_000 + 1000
    assert judge(said(450), 9, queued, NOW, PLAN, 0.5) == Deferred(NOW + 1000, said(450))


def test_failure_at_the_greatest_age_is_the_end_in_ses_words() -> None:
    outcome = judge(said(450, "4.2.0", "Greylisted"), 9, NOW - 50_400_000, NOW, PLAN, 0.5)
    assert isinstance(outcome, Bounced)
    assert (outcome.kind, outcome.expired) == (BounceKind("Transient", "General"), True)
    # As recorded from the live service, with its own last reply in the brackets.
    assert f"smtp; {reply_line(outcome.reply)}" == (
        "smtp; 550 4.4.7 Message expired: unable to deliver in 840 minutes.<450 4.2.0 Greylisted>"
    )


def test_success_at_any_age_is_success() -> None:
    assert isinstance(judge(said(250), 9, 0, NOW, PLAN, 0.5), Delivered)


@pytest.mark.parametrize(
    ("code", "enhanced", "type", "subtype"),
    [
        (550, "5.1.1", "Permanent", "NoEmail"),
        (550, "", "Permanent", "General"),
        (554, "5.7.1", "Permanent", "General"),
        (552, "5.2.2", "Transient", "MailboxFull"),
        (552, "", "Transient", "MailboxFull"),
        (552, "5.3.4", "Transient", "MessageTooLarge"),
        (554, "5.6.1", "Transient", "ContentRejected"),
        (556, "5.1.10", "Permanent", "NoEmail"),
        (450, "", "Transient", "General"),
    ],
)
def test_bounces_have_ses_kinds(code: int, enhanced: str, type: str, subtype: str) -> None:
    assert bounce_kind(said(code, enhanced)) == BounceKind(type, subtype)


@pytest.mark.parametrize(
    ("code", "enhanced", "expected"),
    [
        (452, "4.2.2", "MailboxFull"),
        (421, "4.4.1", "TransientCommunicationFailure"),
        (451, "4.3.0", "RecipientServerError"),
        (421, "", "RecipientServerError"),
        (450, "4.7.1", "General"),
        (450, "", "General"),
    ],
)
def test_delays_have_ses_types(code: int, enhanced: str, expected: str) -> None:
    assert delay_type(said(code, enhanced)) == expected


@pytest.mark.parametrize(("code", "expected"), [(250, "2.0.0"), (354, "4.0.0"), (450, "4.0.0"), (550, "5.0.0")])
def test_a_reply_without_enhanced_code_has_the_most_general_status(code: int, expected: str) -> None:
    assert status_of(said(code)) == expected
    assert status_of(said(code, "5.1.1")) == "5.1.1"


def test_a_reply_line_is_bounded() -> None:
    assert reply_line(said(550, "5.1.1", "No such user")) == "550 5.1.1 No such user"
    assert reply_line(said(550, "", "")) == "550"
    assert len(reply_line(said(550, "", "x" * 100_000))) == 1000
