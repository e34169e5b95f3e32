"""What follows from finding a record or not: the states of domains, DKIM and MAIL FROM."""

import msgspec
import pytest

from posthouse.domain.dns_proof import (
    GRACE_MS,
    Seen,
    Sighting,
    is_unsettled,
    judge,
    publishes,
    same_request,
    watched,
)
from posthouse.domain.identities import Dkim, Identity, MailFrom, Status, asked_to_verify, vouched_for

FOUND, MISSING, UNKNOWN = Sighting.FOUND, Sighting.MISSING, Sighting.UNKNOWN
PENDING, SUCCESS, FAILED, TEMPORARY = Status.PENDING, Status.SUCCESS, Status.FAILED, Status.TEMPORARY_FAILURE
ASKED = 1_000_000


def domain(status: Status = PENDING, dkim: Status | None = None, mail_from: Status | None = None) -> Identity:
    return Identity(
        name="example.com",
        status=status,
        requested_ms=ASKED,
        token="token",
        dkim=Dkim() if dkim is None else Dkim(tokens=("a", "b", "c"), status=dkim, requested_ms=ASKED),
        mail_from=MailFrom()
        if mail_from is None
        else MailFrom(domain="m.example.com", status=mail_from, requested_ms=ASKED),
    )


@pytest.mark.parametrize("part", ["txt", "dkim", "mail_from"])
def test_each_part_goes_through_the_states_of_its_records(part: str) -> None:
    """Pending, seen, missed for less than 72 hours, back, missed for longer, and then looked at no more."""
    identity = domain(SUCCESS, PENDING, PENDING) if part != "txt" else domain()

    def status() -> Status:
        return {"txt": identity, "dkim": identity.dkim, "mail_from": identity.mail_from}[part].status  # type: ignore[attr-defined,no-any-return]

    gone = ASKED + 1000
    for seen, at_ms, expected in (
        (UNKNOWN, ASKED + 1, PENDING),
        (MISSING, ASKED + 2, PENDING),
        (FOUND, ASKED + 3, SUCCESS),
        (UNKNOWN, ASKED + 4, SUCCESS),
        (MISSING, gone, TEMPORARY),
        (MISSING, gone + GRACE_MS - 1, TEMPORARY),
        (FOUND, gone + GRACE_MS - 1, SUCCESS),
        (MISSING, gone + GRACE_MS, TEMPORARY),
        (UNKNOWN, gone + 9 * GRACE_MS, TEMPORARY),
        (MISSING, gone + 9 * GRACE_MS, FAILED),
        (FOUND, gone + 9 * GRACE_MS + 1, FAILED),
    ):
        identity = judge(identity, Seen()._replace(**{part: seen}), at_ms)
        assert status() is expected, (seen, at_ms - ASKED)


@pytest.mark.parametrize("part", ["txt", "dkim", "mail_from"])
def test_what_is_not_seen_within_72_hours_has_failed(part: str) -> None:
    identity = domain(PENDING if part == "txt" else SUCCESS, PENDING, PENDING)
    dkim_too = {"dkim": MISSING} if part == "txt" else {}
    seen = Seen()._replace(**{part: MISSING}, **dkim_too)
    just_before = judge(identity, seen, ASKED + GRACE_MS - 1)
    assert getattr(watched(just_before), part)
    failed = judge(identity, seen, ASKED + GRACE_MS)
    assert not getattr(watched(failed), part)


def test_an_unknown_answer_changes_nothing_however_late() -> None:
    for status in (PENDING, SUCCESS, TEMPORARY):
        identity = domain(status, status, status)
        assert judge(identity, Seen(), ASKED + 9 * GRACE_MS) == identity


def test_dkim_verifies_its_domain_too() -> None:
    judged = judge(domain(PENDING, PENDING), Seen(txt=MISSING, dkim=FOUND), ASKED + 1)
    assert (judged.status, judged.dkim.status) == (SUCCESS, SUCCESS)
    assert judge(domain(FAILED, PENDING), Seen(dkim=FOUND), ASKED + 1).status is SUCCESS


@pytest.mark.parametrize(
    ("txt", "dkim", "expected"),
    [
        (MISSING, FOUND, SUCCESS),
        (FOUND, MISSING, SUCCESS),
        (MISSING, UNKNOWN, SUCCESS),
        (UNKNOWN, MISSING, SUCCESS),
        (MISSING, MISSING, TEMPORARY),
    ],
)
def test_a_domain_stays_verified_while_one_of_its_proofs_may_stand(
    txt: Sighting, dkim: Sighting, expected: Status
) -> None:
    assert judge(domain(SUCCESS, SUCCESS), Seen(txt, dkim), ASKED + 1).status is expected


def test_dkim_that_has_failed_speaks_for_nothing() -> None:
    assert judge(domain(SUCCESS, FAILED), Seen(MISSING, UNKNOWN), ASKED + 1).status is TEMPORARY


def test_what_somebody_vouched_for_is_not_looked_at_and_not_revoked() -> None:
    identity = vouched_for(domain(PENDING, PENDING))
    assert not any(watched(identity))
    assert judge(identity, Seen(MISSING, MISSING, MISSING), ASKED + 9 * GRACE_MS) == identity


def test_dkim_asked_for_later_of_a_vouched_domain_is_looked_at() -> None:
    identity = msgspec.structs.replace(
        vouched_for(domain()), dkim=Dkim(tokens=("a", "b", "c"), status=PENDING, requested_ms=ASKED)
    )
    assert watched(identity) == (False, True, False)
    failed = judge(identity, Seen(dkim=MISSING), ASKED + GRACE_MS)
    assert (failed.status, failed.dkim.status) == (SUCCESS, FAILED)


def test_an_address_is_watched_for_its_mail_from_domain_alone() -> None:
    address = Identity(name="a@example.com", status=SUCCESS, requested_ms=1, mail_from=MailFrom(domain="m.example.com"))
    assert watched(address) == (False, False, True)
    assert not any(watched(asked_to_verify(None, "a@example.com", 1)))


def test_only_what_is_awaited_is_unsettled() -> None:
    assert is_unsettled(domain())
    assert is_unsettled(domain(SUCCESS, TEMPORARY))
    assert is_unsettled(domain(SUCCESS, SUCCESS, PENDING))
    assert not is_unsettled(domain(SUCCESS, SUCCESS, SUCCESS))
    assert not is_unsettled(domain(SUCCESS, FAILED, FAILED))


def test_a_sighting_holds_for_the_same_records_only() -> None:
    one = domain(PENDING, PENDING, PENDING)
    assert same_request(one, msgspec.structs.replace(one, status=SUCCESS))
    assert not same_request(one, msgspec.structs.replace(one, token="other"))
    assert not same_request(one, domain(PENDING, None, PENDING))
    assert not same_request(one, domain(PENDING, PENDING))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("v=DKIM1; k=rsa; p=MIIB+/aZ", True),
        ("p=MIIB+/aZ", True),
        ("k=rsa ; p = MIIB +/aZ ; t=s", True),
        ("v=DKIM1; k=rsa; p=miib+/az", False),
        ("v=DKIM1; k=rsa; p=", False),
        ("MIIB+/aZ", False),
        ("", False),
    ],
)
def test_a_key_is_published_however_its_record_is_written(text: str, same: bool) -> None:
    assert publishes(["unrelated", text], "v=DKIM1; k=rsa; p=MIIB+/aZ") is same
    assert not publishes([text, "p="], "")
