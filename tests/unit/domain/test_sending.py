"""The rules of acceptance and their texts."""

import pytest

from posthouse.domain.accounts import Account, AccountDefaults, in_sandbox, limits_of
from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.identities import Identity, Status
from posthouse.domain.messages import Draft, Text
from posthouse.domain.quotas import SendingLimits
from posthouse.domain.sending import (
    check_account,
    check_drafted,
    check_recipient_count,
    check_size,
    is_verified,
    refuse_unverified,
)
from posthouse.domain.tags import check_tags
from posthouse.model.errors import InvalidParameterValue, ServiceError
from posthouse.model.generated import AccountSendingPausedException, MessageRejected


def identity(name: str, status: Status = Status.SUCCESS) -> dict[str, Identity]:
    return {name: Identity(name=name, status=status, requested_ms=0)}


@pytest.mark.parametrize(
    ("name", "address", "covered"),
    [
        ("example.com", "a@example.com", True),
        ("example.com", "a@Sub.Example.COM", True),
        ("sub.example.com", "a@example.com", False),
        ("ann@example.com", "ann@example.com", True),
        ("ann@example.com", "Ann@example.com", False),
        ("ann@example.com", "ann+label@example.com", True),
        ("ann@example.com", "bob@example.com", False),
        ("ample.com", "a@example.com", False),
    ],
)
def test_which_identity_covers_an_address(name: str, address: str, covered: bool) -> None:
    assert is_verified(address, identity(name)) is covered


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
def test_an_identity_that_is_not_proven_covers_nobody(status: Status) -> None:
    assert not is_verified("a@example.com", identity("example.com", status))


def test_the_refusal_names_all_that_failed_as_they_were_written() -> None:
    failed = [parse_mailbox(text) for text in ("Ann <ann@x.example>", "ann@x.example", "ann@x.example")]
    refuse_unverified([], "us-east-1")
    with pytest.raises(MessageRejected) as error:
        refuse_unverified(failed, "us-east-1")
    assert error.value.message == (
        "Email address is not verified. The following identities failed the check in region US-EAST-1: "
        "Ann <ann@x.example>, ann@x.example"
    )


def test_fifty_recipients_and_no_more() -> None:
    check_recipient_count(50)
    with pytest.raises(InvalidParameterValue, match="Recipient count exceeds 50."):
        check_recipient_count(51)
    with pytest.raises(InvalidParameterValue, match="There are no recipients specified."):
        check_recipient_count(0)


def test_ten_mebibytes_and_no_more() -> None:
    check_size(10_485_760)
    with pytest.raises(InvalidParameterValue) as error:
        check_size(12_078_147)
    assert error.value.message == "Message length is more than 10485760 bytes long: '12078147'."


def test_a_paused_account_sends_nothing() -> None:
    with pytest.raises(AccountSendingPausedException, match="Account sending is disabled."):
        check_account(Account(sending_enabled=False))
    with pytest.raises(MessageRejected, match="Sending paused for this account."):
        check_account(Account(paused=True))


@pytest.mark.parametrize("subject", ["a\r\nBcc: x@example.com", "a\nb", "a\rb", "a\0b"])
def test_a_subject_is_one_line(subject: str) -> None:
    with pytest.raises(ServiceError):
        check_drafted(Draft(source="a@b.c", subject=Text(subject), text=Text("x")))


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("", "v", "The tag name must be specified."),
        ("n", "", "The tag value must be specified."),
        ("n" * 256, "v", "Tag name cannot exceed 255 characters."),
        ("n", "v" * 256, "Tag value cannot exceed 255 characters."),
        ("a b", "v", "Invalid tag name <a b>: only alphanumeric ASCII characters, '_',  '-' are allowed."),
        ("a:b", "", "Invalid tag name <a:b>: only alphanumeric ASCII characters, '_',  '-' are allowed."),
        ("n", "v v", "Invalid tag value <v v>: only alphanumeric ASCII characters, '_',  '-' , '.', '@' are allowed."),
        ("n\n", "v", "Invalid tag name <n\n>: only alphanumeric ASCII characters, '_',  '-' are allowed."),
    ],
)
def test_tags_are_judged_name_before_value(name: str, value: str, answer: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        check_tags(((name, value),))
    assert error.value.message == answer


def test_good_tags() -> None:
    check_tags((("ses:feedback-id-a", "x.y@z"), ("Name_1-x", "value")))


def test_limits_are_the_accounts_own_or_those_of_its_state() -> None:
    defaults = AccountDefaults(
        sandbox=True, production_limits=SendingLimits(50000, 14), sandbox_limits=SendingLimits(200, 1)
    )
    assert in_sandbox(Account(), defaults)
    assert limits_of(Account(), defaults) == SendingLimits(200, 1)
    assert limits_of(Account(sandbox=False), defaults) == SendingLimits(50000, 14)
    assert limits_of(Account(max_send_rate=5), defaults) == SendingLimits(200, 5)


def test_a_message_has_fifty_tags_at_most() -> None:
    tags = tuple((f"name-{number}", "value") for number in range(51))
    check_tags(tags[:50])
    with pytest.raises(InvalidParameterValue, match="cannot have more than 50 tags"):
        check_tags(tags)
