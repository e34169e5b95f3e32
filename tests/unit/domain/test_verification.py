"""Verification links and templates as decisions on values."""

import base64
import hmac

import msgspec
import pytest

from posthouse.domain.identities import Identity, Status, asked_to_verify
from posthouse.domain.verification import (
    LINK_LIFE_MS,
    DeadLink,
    Link,
    VerificationTemplate,
    as_of,
    check_template,
    followed,
    link_of,
    token_of,
    with_link,
)
from posthouse.model.errors import InvalidParameterValue

KEY, AT_MS = b"k" * 32, 1_800_000_000_000
LINK = Link("111111111111", "us-east-1", "Ann+x@example.com", AT_MS, "Welcome")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_a_link_comes_back_from_its_token_and_from_no_other_key() -> None:
    token = token_of(LINK, KEY)
    assert link_of(token, KEY) == LINK
    assert link_of(token, b"another key") is None


@pytest.mark.parametrize("address", ["a@b.example", "ab@b.example", "abc@b.example"])
def test_a_token_changed_in_any_place_is_dead(address: str) -> None:
    """All lengths modulo three, so that the last character has spare bits in two of them."""
    token = token_of(Link("111111111111", "us-east-1", address, AT_MS), KEY)
    for place, character in enumerate(token):
        for other in ALPHABET if place > len(token) - 3 else (ALPHABET[ALPHABET.index(character) - 1],):
            edited = token[:place] + other + token[place + 1 :]
            assert (link_of(edited, KEY) is None) == (edited != token)


@pytest.mark.parametrize("tail", ["=", "==", "\n", " ", "A", "AA", "/", "."])
def test_a_token_with_anything_after_it_is_dead(tail: str) -> None:
    assert link_of(token_of(LINK, KEY) + tail, KEY) is None


def test_a_token_in_another_spelling_of_base64_is_dead() -> None:
    token = next(
        token for n in range(500) if "-" in (token := token_of(msgspec.structs.replace(LINK, issued_ms=n), KEY))
    )
    assert link_of(token.replace("-", "+"), KEY) is None


@pytest.mark.parametrize("text", ["", "x", "A" * 49, "A" * 48, "A" * 5000, "é" * 60, "\0" * 60])
def test_what_was_never_written_is_no_link(text: str) -> None:
    assert link_of(text, KEY) is None


def test_an_authentic_text_for_another_purpose_is_no_link() -> None:
    body = msgspec.json.encode(LINK)
    other = hmac.digest(KEY, b"another purpose\0" + body, "sha256") + body
    assert link_of(base64.urlsafe_b64encode(other).rstrip(b"=").decode(), KEY) is None


def pending() -> Identity:
    return with_link(asked_to_verify(None, LINK.address, AT_MS), AT_MS)


def test_following_the_link_verifies_once() -> None:
    verified = followed(pending(), LINK, AT_MS + 1)
    assert isinstance(verified, Identity)
    assert verified.status is Status.SUCCESS
    assert followed(verified, LINK, AT_MS + 2) is DeadLink.USED


def test_a_link_works_for_24_hours() -> None:
    assert isinstance(followed(pending(), LINK, AT_MS + LINK_LIFE_MS - 1), Identity)
    assert followed(pending(), LINK, AT_MS + LINK_LIFE_MS) is DeadLink.EXPIRED


def test_a_newer_link_replaces_the_older_even_in_the_same_millisecond() -> None:
    again = with_link(pending(), AT_MS)
    assert followed(again, LINK, AT_MS + 1) is DeadLink.REPLACED
    assert isinstance(followed(again, msgspec.structs.replace(LINK, issued_ms=again.link_ms), AT_MS + 1), Identity)


def test_a_link_to_an_identity_that_was_deleted_is_dead() -> None:
    assert followed(None, LINK, AT_MS + 1) is DeadLink.REPLACED


def test_an_address_fails_when_24_hours_are_over_and_a_domain_does_not() -> None:
    assert as_of(pending(), AT_MS + LINK_LIFE_MS - 1).status is Status.PENDING
    assert as_of(pending(), AT_MS + LINK_LIFE_MS).status is Status.FAILED
    domain = asked_to_verify(None, "example.com", AT_MS, "token")
    assert as_of(domain, AT_MS + LINK_LIFE_MS).status is Status.PENDING


def template(**changes: str) -> VerificationTemplate:
    given = {"from_address": "a@b.example", "subject": "Hi", "success_url": "https://x.example/ok?a=1#b"}
    return VerificationTemplate(**{**given, "failure_url": "http://x.example:8080/", **changes})


def test_a_template_with_urls_that_lead_somewhere_is_taken() -> None:
    check_template(template())
    check_template(template(success_url="http://[::1]:8025/ok", failure_url="HTTPS://X.example"))


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "x.example/ok", "ftp://x.example/", "javascript:alert(1)", "https://", "https:///ok",
        "https:x.example",
        "http://x.example/\r\nSet-Cookie: a=b", "http://x.example/a b", "http://x.example:99999/", "http://x.example:x/",
        "http://[::1/", "http://x\\y.example/", "http://é.example/", "http://x.example/" + "a" * 2048, " http://x.example",
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        check_template(template(success_url=url))
    assert error.value.message == "The success redirection URL is invalid"
    with pytest.raises(InvalidParameterValue) as error:
        check_template(template(failure_url=url))
    assert error.value.message == "The failure redirection URL is invalid"


@pytest.mark.parametrize("subject", ["", "Hi\r\nBcc: x@y.example", "a\0b"])
def test_a_subject_is_one_line(subject: str) -> None:
    with pytest.raises(InvalidParameterValue):
        check_template(template(subject=subject))
