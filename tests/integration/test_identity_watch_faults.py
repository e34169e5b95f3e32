"""The watch over identities against a DNS server that misbehaves: a failing resolver is a delay, never a verdict."""

import random

import pytest
from tests.integration.dns_server import FAULTS, DnsServer
from tests.support.context import Callers, Ses, open_ses

from posthouse.adapters import resolver as adapter
from posthouse.adapters.resolver import DnsResolver
from posthouse.domain.dns_proof import GRACE_MS
from posthouse.domain.identities import Identity, Status
from posthouse.upkeep.identities import IdentityWatch

MAIL_FROM = "m.example.com"


async def asked_for_everything(ses: Ses) -> dict[tuple[str, str], str]:
    """An identity that waits for all kinds of records, and those records."""
    tokens = (await ses.call("VerifyDomainDkim", Domain="example.com")).dkim_tokens
    token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token
    await ses.call("SetIdentityMailFromDomain", Identity="example.com", MailFromDomain=MAIL_FROM)
    return {
        ("_amazonses.example.com", "TXT"): f'"{token}"',
        (MAIL_FROM, "MX"): "10 feedback-smtp.us-east-1.Posthouse.test.",
        **{(f"{each}._domainkey.example.com", "CNAME"): f"{each}.DKIM.posthouse.test." for each in tokens},
    }


def watch_of(ses: Ses, dns: DnsServer) -> IdentityWatch:
    resolver = DnsResolver([dns.address], ses.clock, keep=False)
    return IdentityWatch(
        ses.ctx.stores.records,
        resolver,
        ses.clock,
        service_domain="posthouse.test",
        recheck_s=60,
        jitter=random.Random(1),
    )


async def statuses(ses: Ses) -> tuple[Status, Status, Status]:
    async with ses.ctx.stores.records.reading() as reading:
        identity = await reading.identities.get(Callers.ANN.scope, "example.com")
    assert isinstance(identity, Identity)
    return identity.status, identity.dkim.status, identity.mail_from.status


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "LIFETIME_S", 0.4)
    monkeypatch.setattr(adapter, "TRY_S", 0.2)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_neither_verifies_nor_revokes(fault: str) -> None:
    async with DnsServer() as dns, open_ses(auto_verify=False) as ses:
        for (name, type), value in (await asked_for_everything(ses)).items():
            dns.add(name, type, value)
            dns.faults[name] = fault
        dns.faults["example.com"] = fault
        watch = watch_of(ses, dns)
        # Truncated over UDP is whole over TCP: that one is no fault in the end.
        expected = Status.SUCCESS if fault == "truncate" else Status.PENDING
        ses.clock.at_ms += 0 if fault == "truncate" else 2 * GRACE_MS
        await watch.look()
        assert await statuses(ses) == (expected,) * 3
        dns.faults.clear()
        await watch.look()
        assert await statuses(ses) == (Status.SUCCESS,) * 3
        dns.faults.update(dict.fromkeys(("example.com", *(name for name, _ in dns.records)), fault))
        ses.clock.at_ms += 2 * GRACE_MS
        await watch.look()
        assert await statuses(ses) == (Status.SUCCESS,) * 3


async def test_names_that_do_not_exist_are_a_verdict_in_time() -> None:
    async with DnsServer() as dns, open_ses(auto_verify=False) as ses:
        await asked_for_everything(ses)
        watch = watch_of(ses, dns)
        await watch.look()
        assert await statuses(ses) == (Status.PENDING,) * 3
        ses.clock.at_ms += GRACE_MS
        await watch.look()
        assert await statuses(ses) == (Status.FAILED,) * 3


async def test_aliases_that_go_in_circles_are_no_proof_and_no_hang() -> None:
    async with DnsServer() as dns, open_ses(auto_verify=False) as ses:
        records = await asked_for_everything(ses)
        for name, _ in records:
            dns.add(name, "CNAME", f"round.{name}.")
            dns.add(f"round.{name}", "CNAME", f"{name}.")
        await watch_of(ses, dns).look()
        assert await statuses(ses) == (Status.PENDING,) * 3


async def test_what_was_just_published_is_seen_by_the_next_look() -> None:
    async with DnsServer(negative_ttl_s=3600) as dns, open_ses(auto_verify=False) as ses:
        records = await asked_for_everything(ses)
        watch = watch_of(ses, dns)
        await watch.look()
        for (name, type), value in records.items():
            dns.add(name, type, value)
        await watch.look()
        assert await statuses(ses) == (Status.SUCCESS,) * 3
