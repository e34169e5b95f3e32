"""The service domain as the configuration describes it."""

import pytest

from posthouse.config import load
from posthouse.dns.settings import service_domain
from posthouse.domain.dns_records import ServiceDomain, spf


def described(**settings: str) -> ServiceDomain:
    return service_domain(load(None, {f"POSTHOUSE_{key.upper()}": value for key, value in settings.items()}))


def test_mail_that_leaves_by_itself_comes_from_our_addresses_alone() -> None:
    found = described(delivery__mode="direct", dns__addresses="192.0.2.7", delivery__source_ips="192.0.2.8")
    assert spf(found) == "v=spf1 ip4:192.0.2.7 ip4:192.0.2.8 -all"


@pytest.mark.parametrize(
    ("relay", "policy"),
    [
        ("smtp://user:secret@Relay.example:587", "v=spf1 ip4:192.0.2.7 a:relay.example ~all"),
        ("smtp://198.51.100.1", "v=spf1 ip4:192.0.2.7 ip4:198.51.100.1 ~all"),
        ("smtp://127.0.0.1:2526", "v=spf1 ip4:192.0.2.7 ~all"),
        ("smtp://localhost:2526", "v=spf1 ip4:192.0.2.7 ~all"),
    ],
)
def test_a_relay_is_named_where_the_world_can_see_it(relay: str, policy: str) -> None:
    assert spf(described(delivery__mode="relay", delivery__relay=relay, dns__addresses="192.0.2.7")) == policy


def test_the_installation_goes_by_its_greeting_and_its_public_url() -> None:
    found = described(smtp__hostname="mx.x.test", http__public_url="https://Mail.X.test:8443/")
    assert found.hosts == ("mx.x.test", "mail.x.test")
