"""What an account's owner is told of a change: each once, in SES's words."""

import msgspec
import pytest

from posthouse.domain.dns_proof import GRACE_MS
from posthouse.domain.identities import Dkim, Identity, MailFrom, Status
from posthouse.domain.identity_news import News, Part, Turn, news, subject, text

P, S, F, T = Status.PENDING, Status.SUCCESS, Status.FAILED, Status.TEMPORARY_FAILURE


def identity(status: Status, since_ms: int = 0, name: str = "shop.example") -> Identity:
    return Identity(
        name=name,
        status=status,
        requested_ms=1,
        failing_since_ms=since_ms,
        dkim=Dkim(status=status, tokens=("a",), failing_since_ms=since_ms),
        mail_from=MailFrom(domain="m.shop.example", status=status, failing_since_ms=since_ms),
    )


@pytest.mark.parametrize(
    ("before", "after", "turn"),
    [
        (P, S, Turn.SUCCESS),
        (P, F, Turn.FAILURE),
        (F, S, Turn.SUCCESS),
        (S, T, Turn.WARNING),
        (T, S, Turn.CANCELLATION),
        (T, F, Turn.REVOCATION),
    ],
)
def test_each_part_tells_of_its_turn(before: Status, after: Status, turn: Turn) -> None:
    told = news(identity(before), identity(after, 5))
    assert [(each.part, each.turn, each.what) for each in told] == [
        (Part.DOMAIN, turn, "shop.example"),
        (Part.DKIM, turn, "shop.example"),
        (Part.MAIL_FROM, turn, "m.shop.example"),
    ]
    assert {each.until_ms for each in told} == ({5 + GRACE_MS} if turn is Turn.WARNING else {0})


@pytest.mark.parametrize("status", [P, S, F, T])
def test_what_has_not_changed_tells_nothing(status: Status) -> None:
    assert news(identity(status), identity(status, 7)) == ()
    # Asked for again: the caller knows.
    assert news(identity(status), identity(P)) == ()


def test_of_an_address_only_its_mail_from_domain_is_told() -> None:
    address = identity(P, name="ann@shop.example")
    after = msgspec.structs.replace(address, status=F, mail_from=MailFrom(domain="m.shop.example", status=S))
    assert [each.part for each in news(address, after)] == [Part.MAIL_FROM]


@pytest.mark.parametrize(
    ("part", "turn", "line"),
    [
        (Part.DOMAIN, Turn.SUCCESS, "Domain Verification SUCCESS for shop.example in region us-east-1"),
        (
            Part.DOMAIN,
            Turn.WARNING,
            "Amazon SES Domain Verification REVOCATION WARNING for shop.example in region us-east-1",
        ),
        (Part.DKIM, Turn.REVOCATION, "Amazon SES DKIM REVOCATION for shop.example in region us-east-1"),
        (
            Part.MAIL_FROM,
            Turn.CANCELLATION,
            "Amazon SES Custom MAIL FROM Domain REVOCATION CANCELLATION for shop.example in region us-east-1",
        ),
    ],
)
def test_the_subject_says_it_all(part: Part, turn: Turn, line: str) -> None:
    assert subject(News(part, turn, "shop.example", "shop.example"), "us-east-1") == line


def test_every_text_names_the_account_and_a_warning_its_end() -> None:
    for part in Part:
        for turn in Turn:
            told = text(News(part, turn, "shop.example", "m.shop.example"), "1234", "us-east-1", "Friday")
            assert "Account: 1234" in told
            assert ("Friday" in told) is (turn is Turn.WARNING)
