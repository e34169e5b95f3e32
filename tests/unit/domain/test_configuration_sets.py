"""Rules of configuration sets: names, limits, who may send by one, and their options."""

import pytest

from posthouse.domain.configuration_sets import (
    MAX_SETS,
    ConfigurationSet,
    check_may_send,
    check_new_set,
    check_redirect_domain,
    check_set_name,
    covering_names,
    is_set_name,
    with_new_redirect_domain,
    with_redirect_domain,
    with_sending_enabled,
)
from posthouse.domain.identities import Identity, Status
from posthouse.model.errors import ServiceError

PLAIN = ConfigurationSet(created_ms=0)


def refusal(error: "pytest.ExceptionInfo[ServiceError]") -> tuple[str, str, dict[str, str]]:
    return error.value.code, error.value.message, error.value.members


@pytest.mark.parametrize("name", ["a", "News-2024_x", "a" * 64, "_", "-"])
def test_names_of_sets(name: str) -> None:
    check_set_name(name)
    assert is_set_name(name)


WRONG = "Invalid configuration set name <{}>: only alphanumeric ASCII characters, '_', and '-' are allowed."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "The configuration set name must be specified."),
        ("a" * 65, "Configuration set name cannot exceed 64 characters."),
        *((name, WRONG.format(name)) for name in ("a b", "a.b", "größe", "a\n", "\0", "١")),
    ],
)
def test_names_of_no_set(name: str, text: str) -> None:
    with pytest.raises(ServiceError) as error:
        check_set_name(name)
    assert refusal(error) == ("InvalidConfigurationSet", text, {})
    assert not is_set_name(name)


def test_a_taken_name_and_the_10001st_set_are_refused() -> None:
    check_new_set("a", known=False, count=MAX_SETS - 1)
    with pytest.raises(ServiceError) as error:
        check_new_set("a", known=True, count=MAX_SETS)
    assert refusal(error) == (
        "ConfigurationSetAlreadyExists",
        "Configuration set <a> already exists.",
        {"ConfigurationSetName": "a"},
    )
    with pytest.raises(ServiceError) as error:
        check_new_set("a", known=False, count=MAX_SETS)
    assert refusal(error)[0] == "LimitExceeded"


def test_who_may_send_by_a_set() -> None:
    check_may_send("a", PLAIN)
    with pytest.raises(ServiceError) as error:
        check_may_send("a b", None)
    assert refusal(error) == (
        "ConfigurationSetDoesNotExist",
        "Configuration set <a b> does not exist.",
        {"ConfigurationSetName": "a b"},
    )
    with pytest.raises(ServiceError) as error:
        check_may_send("a", with_sending_enabled(PLAIN, False, 1))
    assert refusal(error) == (
        "ConfigurationSetSendingPausedException",
        "Sending is paused for configuration set <a>",
        {"ConfigurationSetName": "a"},
    )


def test_only_being_enabled_again_is_a_fresh_start() -> None:
    assert with_sending_enabled(PLAIN, True, 5) == PLAIN
    paused = with_sending_enabled(PLAIN, False, 5)
    assert (paused.sending_enabled, paused.fresh_start_ms) == (False, None)
    again = with_sending_enabled(paused, True, 7)
    assert (again.sending_enabled, again.fresh_start_ms) == (True, 7)
    assert with_sending_enabled(again, True, 9) == again
    assert with_sending_enabled(again, False, 9).fresh_start_ms == 7


SHOP = Identity(name="shop.example", status=Status.SUCCESS, requested_ms=0)


@pytest.mark.parametrize("domain", ["shop.example", "a.b.shop.example", "LINKS.Shop.Example"])
def test_redirect_domains_are_verified_or_below_one_that_is(domain: str) -> None:
    assert "shop.example" in covering_names(domain)
    check_redirect_domain(domain, {"shop.example": SHOP})


@pytest.mark.parametrize(
    ("domain", "status"),
    [
        ("shop.example", Status.PENDING),
        ("shop.example", Status.FAILED),
        ("other.example", Status.SUCCESS),
        ("notshop.example", Status.SUCCESS),
        ("example", Status.SUCCESS),
        ("ann@shop.example", Status.SUCCESS),
        ("shop.example.", Status.SUCCESS),
        ("shop.example/x", Status.SUCCESS),
        ("x.\0.shop.example", Status.SUCCESS),
        ("a." * 200 + "shop.example", Status.SUCCESS),
    ],
)
def test_other_redirect_domains_are_refused(domain: str, status: Status) -> None:
    kept = Identity(name="shop.example", status=status, requested_ms=0)
    with pytest.raises(ServiceError) as error:
        check_redirect_domain(domain, {"shop.example": kept})
    assert refusal(error) == ("InvalidTrackingOptions", f"Domain <{domain}> is not verified under this account.", {})


def test_an_empty_redirect_domain_is_none() -> None:
    with pytest.raises(ServiceError) as error:
        check_redirect_domain("", {})
    text = "At least one field of TrackingOptions must contain a value."
    assert refusal(error) == ("InvalidTrackingOptions", text, {})


def test_tracking_options_are_made_once_changed_and_deleted() -> None:
    with_options = with_new_redirect_domain("a", PLAIN, "links.Shop.example")
    assert with_options.redirect_domain == "links.Shop.example"
    assert with_redirect_domain("a", with_options, "l.shop.example").redirect_domain == "l.shop.example"
    assert with_redirect_domain("a", with_options, None) == PLAIN
    with pytest.raises(ServiceError) as error:
        with_new_redirect_domain("a", with_options, "x.example")
    assert refusal(error) == (
        "TrackingOptionsAlreadyExistsException",
        "Configuration set <a> already has tracking options.",
        {"ConfigurationSetName": "a"},
    )
    for change in ("x.example", None):
        with pytest.raises(ServiceError) as error:
            with_redirect_domain("a", PLAIN, change)
        assert refusal(error) == (
            "TrackingOptionsDoesNotExistException",
            "There are no tracking options for configuration set <a>",
            {"ConfigurationSetName": "a"},
        )
