"""Which identity covers whom, and what asking again does."""

import msgspec
import pytest

from posthouse.domain.identities import (
    Status,
    asked_to_verify,
    candidates,
    domain_name,
    email_address,
    next_signer,
    proven,
    vouched_for,
    with_dkim_asked,
    with_dkim_enabled,
    with_next_signer,
)
from posthouse.model.errors import InvalidParameterValue


def test_candidates_run_from_the_address_to_the_top_domain() -> None:
    assert candidates("Ann+Tag@Mail.Example.com") == (
        "Ann+Tag@Mail.Example.com",
        "Ann@Mail.Example.com",
        "mail.example.com",
        "example.com",
        "com",
    )


@pytest.mark.parametrize(
    "name", ["", "a", "a..b", ".a.b", "a.b.", "-a.com", "a-.com", "a b.com", "ä.com", "x" * 64 + ".com"]
)
def test_no_domain_name(name: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        domain_name(name)
    assert error.value.message == f"Invalid domain name {name}."


def test_a_domain_is_kept_in_lower_case() -> None:
    assert domain_name("Example.COM") == "example.com"


@pytest.mark.parametrize("text", ["", "a", "a@", "@b.com", "Ann <a@b.com>", "a b@c.com", "a@b.com\r\nX: y"])
def test_no_email_address(text: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        email_address(text)
    assert error.value.message == f"Invalid email address<{text}>."


def test_asking_again_keeps_token_and_success() -> None:
    first = asked_to_verify(None, "example.com", 1, "token")
    assert (first.status, first.token) == (Status.PENDING, "token")
    again = asked_to_verify(proven(first), "example.com", 2, "other")
    assert (again.status, again.token) == (Status.SUCCESS, "token")


def test_asking_again_after_a_failure_starts_anew() -> None:
    failed = msgspec.structs.replace(asked_to_verify(None, "a@b.com", 1), status=Status.FAILED)
    again = asked_to_verify(failed, "a@b.com", 2)
    assert (again.status, again.requested_ms) == (Status.PENDING, 2)


def test_dkim_tokens_stay_and_switching_keeps_the_status() -> None:
    identity = with_dkim_asked(asked_to_verify(None, "example.com", 1, "t"), ("a", "b", "c"), 1)
    assert with_dkim_asked(identity, ("x", "y", "z"), 2).dkim.tokens == ("a", "b", "c")
    switched = with_dkim_enabled(vouched_for(identity), False)
    assert (switched.dkim.enabled, switched.dkim.status) == (False, Status.SUCCESS)


def test_asking_for_dkim_again_starts_a_failed_one_anew_and_leaves_a_verified_one() -> None:
    identity = with_dkim_asked(asked_to_verify(None, "example.com", 1, "t"), ("a", "b", "c"), 1)
    failed = msgspec.structs.replace(
        identity, dkim=msgspec.structs.replace(identity.dkim, status=Status.FAILED, failing_since_ms=5)
    )
    again = with_dkim_asked(failed, (), 9).dkim
    assert (again.status, again.requested_ms, again.failing_since_ms) == (Status.PENDING, 9, 0)
    assert with_dkim_asked(vouched_for(identity), (), 9) == vouched_for(identity)


def test_a_word_covers_the_dkim_that_was_asked_for_and_no_more() -> None:
    asked = asked_to_verify(None, "example.com", 1, "t")
    assert (vouched_for(asked).vouched, vouched_for(asked).dkim.status) == (True, Status.NOT_STARTED)
    with_keys = vouched_for(with_dkim_asked(asked, ("a", "b", "c"), 1))
    assert (with_keys.dkim.vouched, with_keys.dkim.status) == (True, Status.SUCCESS)
    assert not proven(asked).vouched


def test_keys_sign_in_turn_and_the_list_of_tokens_keeps_its_order() -> None:
    identity = with_dkim_asked(asked_to_verify(None, "example.com", 1, "t"), ("a", "b", "c"), 1)
    signers = []
    for _ in range(4):
        signers.append(identity.dkim.signer)
        assert next_signer(identity.dkim) == with_next_signer(identity).dkim.signer
        identity = with_next_signer(identity)
    assert signers == ["a", "b", "c", "a"]
    assert identity.dkim.tokens == ("a", "b", "c")
