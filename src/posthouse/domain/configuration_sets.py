"""Configuration sets: what mail sent by one of them has in common, and the rules of each of its settings.

Source: API reference of the configuration set operations and of ConfigurationSet, TrackingOptions, DeliveryOptions and
ReputationOptions; SES developer guide, "Using configuration sets"; texts as observed on the live service. The rules of
event destinations are event_destinations.py's.
"""

import re
from collections.abc import Mapping

import msgspec

from posthouse.domain.identities import Identity, candidates, is_domain_name
from posthouse.model.generated import (
    ConfigurationSetAlreadyExistsException,
    ConfigurationSetDoesNotExistException,
    ConfigurationSetSendingPausedException,
    InvalidConfigurationSetException,
    InvalidTrackingOptionsException,
    LimitExceededException,
    TrackingOptionsAlreadyExistsException,
    TrackingOptionsDoesNotExistException,
)

MAX_SETS = 10_000
"""Of one account in one region (SES developer guide, "Service quotas")."""
MAX_NAME = 64
OPTIONAL, REQUIRE = "Optional", "Require"
"""TlsPolicy of the API."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """One dimension of the metrics that a CloudWatch destination publishes."""

    name: str
    source: str
    """DimensionValueSource of the API: ``messageTag``, ``emailHeader`` or ``linkTag``."""
    default: str


class EventDestination(msgspec.Struct, frozen=True, kw_only=True):
    """Where events of a set's mail are published: one of a topic, a stream, or dimensions."""

    name: str
    enabled: bool = False
    event_types: tuple[str, ...]
    """EventType of the API: ``send``, ``reject``, ``bounce``, ``complaint``, ``delivery``, ``open``, ``click``,
    ``renderingFailure``."""
    sns_topic: str = ""
    """Its ARN; empty where this is no SNS destination."""
    stream_arn: str = ""
    """A Firehose delivery stream, with `role_arn`; empty where this is no Firehose destination."""
    role_arn: str = ""
    dimensions: tuple[Dimension, ...] = ()
    """Of CloudWatch metrics; empty where this is no CloudWatch destination."""


class ConfigurationSet(msgspec.Struct, frozen=True, kw_only=True):
    """A named group of settings for mail."""

    created_ms: int
    sending_enabled: bool = True
    reputation_metrics: bool = False
    fresh_start_ms: int | None = None
    """Since when bounces and complaints count for the set's reputation; None: it was never paused and enabled again."""
    tls_policy: str = OPTIONAL
    redirect_domain: str | None = None
    """Whose links stand in tracked mail, as it was given; None: the installation's own."""
    destinations: tuple[EventDestination, ...] = ()

    @property
    def requires_tls(self) -> bool:
        return self.tls_policy == REQUIRE

    def destination(self, name: str) -> EventDestination | None:
        return next((each for each in self.destinations if each.name == name), None)


def is_set_name(text: str) -> bool:
    """False for what no set can be called: it need not be looked for."""
    return not why_no_name(text, "configuration set")


def check_set_name(name: str) -> None:
    """For a set about to be created; anywhere else such a name is that of no set."""
    if text := why_no_name(name, "configuration set"):
        raise InvalidConfigurationSetException(text)


def check_new_set(name: str, known: bool, count: int) -> None:
    """Raises for a name that is taken, and for the 10,001st set."""
    if known:
        raise ConfigurationSetAlreadyExistsException(
            f"Configuration set <{name}> already exists.", configuration_set_name=name
        )
    if count >= MAX_SETS:
        raise LimitExceededException(f"Number of configuration sets exceeds the limit of {MAX_SETS}.")


def why_no_name(name: str, what: str) -> str:
    """SES's text against a name of letters, digits, underscores and dashes; empty where there is nothing against it."""
    if not name:
        return f"The {what} name must be specified."
    if not _NAME.fullmatch(name):
        return f"Invalid {what} name <{name}>: only alphanumeric ASCII characters, '_', and '-' are allowed."
    return f"{what.capitalize()} name cannot exceed {MAX_NAME} characters." if len(name) > MAX_NAME else ""


def no_such_set(name: str) -> ConfigurationSetDoesNotExistException:
    """The angle brackets are SES's (recorded)."""
    return ConfigurationSetDoesNotExistException(
        f"Configuration set <{name}> does not exist.", configuration_set_name=name
    )


def check_may_send(name: str, found: ConfigurationSet | None) -> None:
    """Raises where mail names a set that does not exist, or one that is paused."""
    if found is None:
        raise no_such_set(name)
    if not found.sending_enabled:
        raise ConfigurationSetSendingPausedException(
            f"Sending is paused for configuration set <{name}>", configuration_set_name=name
        )


def with_sending_enabled(found: ConfigurationSet, enabled: bool, now_ms: int) -> ConfigurationSet:
    """The set paused, or sending. Enabled again it has a fresh start: its reputation counts from now (API reference of
    ReputationOptions)."""
    if enabled and not found.sending_enabled:
        return msgspec.structs.replace(found, sending_enabled=True, fresh_start_ms=now_ms)
    return msgspec.structs.replace(found, sending_enabled=enabled)


# -- tracking options


def check_redirect_domain(domain: str, covering: Mapping[str, Identity]) -> None:
    """Raises InvalidTrackingOptions for what is no verified domain nor below one; `covering` are the identities of
    `covering_names(domain)` that exist."""
    if not domain:
        raise InvalidTrackingOptionsException("At least one field of TrackingOptions must contain a value.")
    if not any(name in covering and covering[name].verified for name in covering_names(domain)):
        raise InvalidTrackingOptionsException(f"Domain <{domain}> is not verified under this account.")


def covering_names(domain: str) -> tuple[str, ...]:
    """Names of the identities that make a redirect domain the account's own; none for what is no domain."""
    return candidates(domain) if is_domain_name(domain) else ()


def with_new_redirect_domain(name: str, found: ConfigurationSet, domain: str) -> ConfigurationSet:
    """The set with tracking options; raises where it has some."""
    if found.redirect_domain is not None:
        raise TrackingOptionsAlreadyExistsException(
            f"Configuration set <{name}> already has tracking options.", configuration_set_name=name
        )
    return msgspec.structs.replace(found, redirect_domain=domain)


def with_redirect_domain(name: str, found: ConfigurationSet, domain: str | None) -> ConfigurationSet:
    """The set with another domain, or with None without one. Raises where there was none to change."""
    if found.redirect_domain is None:
        raise TrackingOptionsDoesNotExistException(
            # No full stop: as probed.
            f"There are no tracking options for configuration set <{name}>",
            configuration_set_name=name,
        )
    return msgspec.structs.replace(found, redirect_domain=domain)
