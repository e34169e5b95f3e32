"""Which custom MAIL FROM domain an identity may have, and which one a mail leaves under."""

import msgspec
import pytest

from posthouse.domain.identities import Identity, MailFrom, Status
from posthouse.domain.mail_from import (
    REJECT,
    USE_DEFAULT,
    custom_domain,
    governing,
    rejects,
    taken_on_trust,
    usable_domain,
    with_mail_from,
)
from posthouse.model.errors import InvalidParameterValue


def identity(name: str, mail_from: str = "", status: Status = Status.SUCCESS) -> Identity:
    return Identity(name=name, status=status, requested_ms=1, mail_from=MailFrom(domain=mail_from))


@pytest.mark.parametrize(
    ("text", "name"), [("Bounce.Example.com", "example.com"), ("bounce.example.com", "Ann@Example.com")]
)
def test_a_subdomain_of_the_identity_is_taken_in_lower_case(text: str, name: str) -> None:
    assert custom_domain(text, identity(name)) == "bounce.example.com"


@pytest.mark.parametrize("text", ["example.com", "bounce.example.org", "notexample.com", "com", "example.com.evil.org"])
@pytest.mark.parametrize("name", ["example.com", "ann@example.com"])
def test_anything_else_is_refused_in_the_words_of_ses(text: str, name: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        custom_domain(text, identity(name))
    assert error.value.message == (
        f"Provided MAIL-FROM domain <{text}> is not subdomain of the domain of the identity <example.com>."
    )


@pytest.mark.parametrize("text", ["a b.example.com", ".example.com", "-a.example.com", "a..example.com"])
def test_what_is_no_domain_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        custom_domain(text, identity("example.com"))
    assert error.value.message == f"Invalid domain name {text}."


def test_an_identity_that_failed_gets_none() -> None:
    with pytest.raises(InvalidParameterValue) as error:
        custom_domain("m.example.com", identity("example.com", status=Status.FAILED))
    assert error.value.message == (
        "Provided MAIL-FROM domain <m.example.com> or its parents are not verified for identity <example.com>."
    )
    assert custom_domain("m.example.com", identity("example.com", status=Status.PENDING)) == "m.example.com"


def test_setting_the_same_domain_again_keeps_what_is_verified_and_starts_the_rest_anew() -> None:
    first = with_mail_from(identity("example.com"), "m.example.com", USE_DEFAULT, 5)
    assert first.mail_from == MailFrom(domain="m.example.com", behavior=USE_DEFAULT, requested_ms=5)
    for status, kept in ((Status.SUCCESS, True), (Status.TEMPORARY_FAILURE, True), (Status.FAILED, False)):
        known = msgspec.structs.replace(first, mail_from=msgspec.structs.replace(first.mail_from, status=status))
        again = with_mail_from(known, "m.example.com", REJECT, 9).mail_from
        assert (again.status, again.behavior) == (status if kept else Status.PENDING, REJECT)
        other = with_mail_from(known, "n.example.com", REJECT, 9).mail_from
        assert (other.status, other.requested_ms) == (Status.PENDING, 9)


def test_an_empty_domain_removes_the_setting() -> None:
    known = with_mail_from(identity("example.com"), "m.example.com", REJECT, 5)
    assert with_mail_from(known, "", REJECT, 9) == identity("example.com")
    assert taken_on_trust(identity("example.com")) == identity("example.com")


def test_the_addresss_own_setting_comes_before_that_of_the_nearest_verified_domain() -> None:
    known = {
        each.name: each
        for each in (
            identity("ann@sub.example.com", "a.sub.example.com"),
            identity("bob@sub.example.com"),
            identity("sub.example.com", "s.sub.example.com"),
            identity("example.com", "e.example.com"),
            identity("bare.example.com"),
            identity("pending.example.com", "p.pending.example.com", Status.PENDING),
        )
    }
    chosen = {
        "ann@sub.example.com": "a.sub.example.com",
        "ann+tag@Sub.Example.com": "s.sub.example.com",
        "ann+tag@sub.example.com": "a.sub.example.com",
        "bob@sub.example.com": "s.sub.example.com",
        "x@other.example.com": "e.example.com",
        "x@bare.example.com": "",
        "x@pending.example.com": "e.example.com",
        "x@example.org": "",
    }
    assert {address: governing(address, known).domain for address in chosen} == chosen


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED, Status.TEMPORARY_FAILURE, Status.SUCCESS])
def test_only_a_whole_set_up_is_used_and_anything_else_rejects_where_asked_to(status: Status) -> None:
    setting = MailFrom(domain="m.example.com", status=status, behavior=REJECT)
    whole = status is Status.SUCCESS
    assert usable_domain(setting) == ("m.example.com" if whole else "")
    assert rejects(setting) is not whole
    assert not rejects(msgspec.structs.replace(setting, behavior=USE_DEFAULT))
    assert not rejects(MailFrom(behavior=REJECT))
