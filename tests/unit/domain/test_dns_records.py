"""Which records there are, and whether what DNS has is what was asked for."""

import pytest

from posthouse.domain.dns_records import (
    DnsRecord,
    Presence,
    ServiceDomain,
    delegation_records,
    identity_records,
    presence,
    service_records,
    spf,
)
from posthouse.domain.identities import Dkim, Identity, MailFrom, Status

SHOP = Identity(
    name="shop.example",
    status=Status.PENDING,
    requested_ms=0,
    token="dG9r",
    dkim=Dkim(status=Status.PENDING, tokens=("abc",)),
    mail_from=MailFrom(domain="bounce.shop.example"),
)
SERVICE = ServiceDomain(
    name="mail.test",
    nameservers=("ns1.mail.test", "ns.elsewhere.test"),
    addresses=("192.0.2.7", "2001:db8::7"),
    senders=("192.0.2.8", "192.0.2.7"),
    hosts=("mx.mail.test", "console.elsewhere.test", "mx.mail.test", "ns1.mail.test"),
)


def test_a_domain_publishes_its_proof_its_keys_and_its_mail_from() -> None:
    assert identity_records(SHOP, "eu-west-1", "mail.test") == [
        ("verification", "TXT", "_amazonses.shop.example", "dG9r"),
        ("DKIM", "CNAME", "abc._domainkey.shop.example", "abc.dkim.mail.test"),
        ("MAIL FROM", "MX", "bounce.shop.example", "10 feedback-smtp.eu-west-1.mail.test"),
        ("SPF", "TXT", "bounce.shop.example", "v=spf1 include:mail.test ~all"),
    ]


def test_an_address_publishes_nothing_but_its_mail_from() -> None:
    ann = Identity(name="ann@shop.example", status=Status.SUCCESS, requested_ms=0)
    assert identity_records(ann, "eu-west-1", "mail.test") == []
    moved = Identity(name="ann@shop.example", status=Status.SUCCESS, requested_ms=0, mail_from=SHOP.mail_from)
    assert [each.type for each in identity_records(moved, "eu-west-1", "mail.test")] == ["MX", "TXT"]


def test_the_zone_above_gets_glue_only_for_names_inside() -> None:
    assert [(each.type, each.name, each.value) for each in delegation_records(SERVICE)] == [
        ("NS", "mail.test", "ns1.mail.test"),
        ("NS", "mail.test", "ns.elsewhere.test"),
        ("A", "ns1.mail.test", "192.0.2.7"),
        ("AAAA", "ns1.mail.test", "2001:db8::7"),
    ]


def test_the_service_domain_has_hosts_policy_and_each_region() -> None:
    found = [(each.type, each.name, each.value) for each in service_records(SERVICE, ["eu-west-1"])]
    policy = "v=spf1 ip4:192.0.2.7 ip6:2001:db8::7 ip4:192.0.2.8 -all"
    assert found[4:] == [
        ("A", "mx.mail.test", "192.0.2.7"),
        ("AAAA", "mx.mail.test", "2001:db8::7"),
        ("TXT", "mail.test", policy),
        ("MX", "eu-west-1.mail.test", "10 feedback-smtp.eu-west-1.mail.test"),
        ("TXT", "eu-west-1.mail.test", policy),
        ("A", "feedback-smtp.eu-west-1.mail.test", "192.0.2.7"),
        ("AAAA", "feedback-smtp.eu-west-1.mail.test", "2001:db8::7"),
        ("A", "inbound-smtp.eu-west-1.mail.test", "192.0.2.7"),
        ("AAAA", "inbound-smtp.eu-west-1.mail.test", "2001:db8::7"),
    ]


def test_behind_a_relay_the_policy_names_it_and_leaves_the_rest_open() -> None:
    relayed = ServiceDomain("mail.test", (), ("192.0.2.7",), ("relay.example",), all_senders=False)
    assert spf(relayed) == "v=spf1 ip4:192.0.2.7 a:relay.example ~all"


KEY = "v=DKIM1; k=rsa; p=AAAABBBB"
INCLUDE = "v=spf1 include:mail.test ~all"


@pytest.mark.parametrize(
    ("type", "value", "found", "state"),
    [
        ("CNAME", "abc.dkim.mail.test", ["ABC.dkim.mail.test"], "found"),
        ("CNAME", "abc.dkim.mail.test", ["abc.dkim.other.test"], "different"),
        ("CNAME", "abc.dkim.mail.test", [], "missing"),
        ("NS", "ns1.mail.test", ["ns2.mail.test", "ns1.mail.test"], "found"),
        ("A", "192.0.2.7", ["192.0.2.8"], "different"),
        ("MX", "10 feedback.mail.test", ["10 Feedback.mail.test"], "found"),
        ("MX", "10 feedback.mail.test", ["10 feedback.mail.test", "20 mx.shop.example"], "different"),
        ("TXT", "dG9r", ["other", "dG9r"], "found"),
        ("TXT", "dG9r", ["dg9R"], "different"),
        ("TXT", KEY, ["v=DKIM1; k=rsa; p=AAAA BBBB"], "found"),
        ("TXT", KEY, ["v=DKIM1; k=rsa; p="], "different"),
        ("TXT", INCLUDE, ["site-verification=1", "v=spf1 a include:MAIL.test -all"], "found"),
        ("TXT", INCLUDE, ["site-verification=1"], "missing"),
        ("TXT", INCLUDE, ["v=spf1 -all"], "different"),
        ("TXT", INCLUDE, [INCLUDE, "v=spf1 -all"], "different"),
    ],
)
def test_what_stands_in_dns_is_held_against_what_should(type: str, value: str, found: list[str], state: str) -> None:
    assert presence(DnsRecord("", type, "name.example", value), found) is Presence(state)
