"""Which identity covers whom, and what asking again does."""

import msgspec
import pytest

from posthouse.domain.identities import (
    Status,
    asked_to_verify,
    candidates,
    domain_name,
    email_address,
    proven,
    with_dkim_asked,
    with_dkim_enabled,
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
    switched = with_dkim_enabled(proven(identity), False)
    assert (switched.dkim.enabled, switched.dkim.status) == (False, Status.SUCCESS)
