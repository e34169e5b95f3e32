"""Watching DNS for what proves identities: what is asked, when, and what is written."""

import asyncio
import dataclasses
import logging
import random
from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.dns_proof import GRACE_MS
from posthouse.domain.identities import Identity, MailFrom, Status
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageFilter
from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName
from posthouse.ports.stores import StoreUnavailable
from posthouse.upkeep.identities import CONCURRENCY, IdentityWatch
from posthouse.upkeep.owner_mail import OWNER_MAIL, OwnerMail

ANN = Callers.ANN.scope
FEEDBACK = "feedback-smtp.us-east-1.posthouse.test"


class Zone:
    """A resolver that knows some records; `down` names fail."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[str, ...]] = {}
        self.down: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.under_way = self.most_under_way = 0

    async def _find(self, name: str, type: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        self.asked[name] += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if name in self.down or "*" in self.down:
            return LookupFailed("no answer")
        found = self.records.get((name, type))
        if found is not None:
            return found
        return () if any(known == name for known, _ in self.records) else NoSuchName()

    async def txt(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return await self._find(name, "TXT")

    async def cname(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return await self._find(name, "CNAME")

    async def mx(self, domain: str) -> tuple[MailExchanger, ...] | NoSuchName | LookupFailed:
        found = await self._find(domain, "MX")
        return tuple(MailExchanger(10, host) for host in found) if isinstance(found, tuple) else found

    async def addresses(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        raise AssertionError("nobody asks for addresses here")


def watch_of(ses: Ses, zone: Zone, recheck_s: float = 60, owner: str = "") -> IdentityWatch:
    return IdentityWatch(
        ses.ctx.stores.records,
        zone,
        ses.clock,
        service_domain="posthouse.test",
        recheck_s=recheck_s,
        jitter=random.Random(3),
        tell=OwnerMail(owner, "posthouse.test", ses.ctx.submission).tell if owner else None,
    )


async def kept(ses: Ses, name: str = "example.com", scope: Scope = ANN) -> Identity:
    async with ses.ctx.stores.records.reading() as reading:
        identity = await reading.identities.get(scope, name)
    assert identity is not None
    return identity


async def put(ses: Ses, identity: Identity, scope: Scope = ANN) -> None:
    async with ses.ctx.stores.records.transaction() as tx:
        await tx.identities.put(scope, identity.name, identity)


@pytest.mark.parametrize("place", ["_amazonses", "the domain itself"])
async def test_a_domain_is_verified_by_its_token_among_other_texts(place: str) -> None:
    async with open_ses(auto_verify=False) as ses:
        token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token
        zone = Zone()
        watch = watch_of(ses, zone)
        await watch.look()
        assert (await kept(ses)).status is Status.PENDING
        if place == "_amazonses":
            zone.records["_amazonses.example.com", "TXT"] = ("other", token)
        else:
            zone.records["example.com", "TXT"] = ("v=spf1 -all", f"amazonses:{token}")
        await watch.look()
        assert (await kept(ses)).status is Status.SUCCESS


async def test_a_token_in_another_case_or_with_more_around_it_verifies_nothing() -> None:
    async with open_ses(auto_verify=False) as ses:
        token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token
        zone = Zone()
        zone.records["_amazonses.example.com", "TXT"] = (token.swapcase(), f" {token}", f"amazonses:{token}")
        zone.records["example.com", "TXT"] = (token,)
        await watch_of(ses, zone).look()
        assert (await kept(ses)).status is Status.PENDING


async def test_dkim_takes_names_of_both_kinds_and_verifies_the_domain() -> None:
    async with open_ses(auto_verify=False) as ses:
        one, two, three = (await ses.call("VerifyDomainDkim", Domain="example.com")).dkim_tokens
        async with ses.ctx.stores.records.reading() as reading:
            keys = {key.token: key.public_record for key in await reading.signing_keys.of(ANN, "example.com")}
        zone = Zone()
        zone.records[f"{one}._domainkey.example.com", "CNAME"] = (f"{one}.dkim.posthouse.test",)
        zone.records[f"{two}._domainkey.example.com", "TXT"] = (keys[two],)
        watch = watch_of(ses, zone)
        await watch.look()
        assert (await kept(ses)).dkim.status is Status.PENDING
        # An alias of its own: the resolver follows it, what counts is the key at its end.
        zone.records[f"{three}._domainkey.example.com", "CNAME"] = ("keys.example.net",)
        zone.records[f"{three}._domainkey.example.com", "TXT"] = (keys[one],)
        await watch.look()
        assert (await kept(ses)).dkim.status is Status.PENDING, "another token's key"
        zone.records[f"{three}._domainkey.example.com", "TXT"] = (keys[three],)
        await watch.look()
        found = await kept(ses)
        assert (found.status, found.dkim.status) == (Status.SUCCESS, Status.SUCCESS)


@pytest.mark.parametrize(
    ("exchangers", "whole"),
    [((FEEDBACK,), True), ((FEEDBACK, "mx.example.com"), False), (("mx.example.com",), False), ((), False)],
)
async def test_a_mail_from_domain_needs_one_mx_record_and_no_other(exchangers: tuple[str, ...], whole: bool) -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress="ann@example.com")
        await ses.call("SetIdentityMailFromDomain", Identity="ann@example.com", MailFromDomain="m.example.com")
        zone = Zone()
        zone.records["m.example.com", "MX"] = exchangers
        await watch_of(ses, zone).look()
        assert (await kept(ses, "ann@example.com")).mail_from.status is (Status.SUCCESS if whole else Status.PENDING)


async def test_a_failing_resolver_is_a_delay_and_never_a_verdict() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyDomainDkim", Domain="example.com")
        await ses.call("SetIdentityMailFromDomain", Identity="example.com", MailFromDomain="m.example.com")
        before = await kept(ses)
        zone = Zone()
        zone.down.add("*")
        watch = watch_of(ses, zone)
        ses.clock.at_ms += 9 * GRACE_MS
        await watch.look()
        assert await kept(ses) == before
        zone.down.clear()
        await watch.look()
        failed = await kept(ses)
        assert {failed.status, failed.dkim.status, failed.mail_from.status} == {Status.FAILED}
        asked = zone.asked.total()
        await watch.look()
        assert zone.asked.total() == asked, "what has failed is looked at no more"


async def test_one_name_that_is_surely_missing_outweighs_one_nobody_knows_of() -> None:
    async with open_ses(auto_verify=False) as ses:
        tokens = (await ses.call("VerifyDomainDkim", Domain="example.com")).dkim_tokens
        zone = Zone()
        zone.down.add(f"{tokens[0]}._domainkey.example.com")
        ses.clock.at_ms += GRACE_MS
        await watch_of(ses, zone).look()
        assert (await kept(ses)).dkim.status is Status.FAILED


async def test_asking_again_after_a_failure_starts_the_looking_anew() -> None:
    async with open_ses(auto_verify=False) as ses:
        first = await ses.call("VerifyDomainIdentity", Domain="example.com")
        zone = Zone()
        watch = watch_of(ses, zone)
        ses.clock.at_ms += GRACE_MS
        await watch.look()
        assert (await kept(ses)).status is Status.FAILED
        again = await ses.call("VerifyDomainIdentity", Domain="example.com")
        assert again.verification_token == first.verification_token
        zone.records["_amazonses.example.com", "TXT"] = (again.verification_token,)
        await watch.look()
        assert (await kept(ses)).status is Status.SUCCESS


async def test_what_was_verified_without_dns_is_never_asked_about() -> None:
    async with open_ses(auto_verify=True) as ses:
        await ses.call("VerifyDomainDkim", Domain="example.com")
        await ses.call("SetIdentityMailFromDomain", Identity="example.com", MailFromDomain="m.example.com")
        zone = Zone()
        watch = watch_of(ses, zone)
        for _ in range(3):
            ses.clock.at_ms += GRACE_MS
            await watch.look()
        assert not zone.asked
        found = await kept(ses)
        assert {found.status, found.dkim.status, found.mail_from.status} == {Status.SUCCESS}


async def test_verified_identities_are_looked_at_rarely_and_missing_ones_every_time() -> None:
    async with open_ses(auto_verify=False) as ses:
        token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token
        zone = Zone()
        zone.records["_amazonses.example.com", "TXT"] = (token,)
        watch = watch_of(ses, zone)
        looks = []
        for _ in range(40):
            await watch.look()
            looks.append(zone.asked.total())
            ses.clock.at_ms += 60_000
        rounds = sum(later > earlier for earlier, later in pairwise(looks))
        assert 3 <= rounds <= 5, "every ten minutes or so in forty"
        zone.records.clear()
        ses.clock.at_ms += 700_000
        await watch.look()
        assert (await kept(ses)).status is Status.TEMPORARY_FAILURE
        zone.records["_amazonses.example.com", "TXT"] = (token,)
        await watch.look()
        found = await kept(ses)
        assert (found.status, found.failing_since_ms) == (Status.SUCCESS, 0)


async def test_after_a_start_verified_identities_are_asked_about_one_after_the_other() -> None:
    async with open_ses(auto_verify=False) as ses:
        zone = Zone()
        for number in range(100):
            await put(ses, Identity(name=f"d{number}.test", status=Status.SUCCESS, requested_ms=1, token="t"))
            zone.records[f"_amazonses.d{number}.test", "TXT"] = ("t",)
        watch = watch_of(ses, zone)
        rounds = []
        for _ in range(11):
            before = zone.asked.total()
            await watch.look()
            rounds.append(zone.asked.total() - before)
            ses.clock.at_ms += 60_000
        assert sum(rounds) >= 200
        assert max(rounds) < 70, "a restart asks for a tenth each minute"


async def test_many_identities_are_looked_at_within_bounds() -> None:
    async with open_ses(auto_verify=False) as ses:
        for number in range(100):
            await put(ses, Identity(name=f"d{number}.test", status=Status.PENDING, requested_ms=1, token="t"))
        zone = Zone()
        await watch_of(ses, zone).look()
        assert len(zone.asked) == 200
        assert zone.most_under_way <= 2 * CONCURRENCY


async def test_two_processes_make_one_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse.upkeep")
    async with open_ses(auto_verify=False) as ses:
        token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token
        zone = Zone()
        zone.records["_amazonses.example.com", "TXT"] = (token,)
        await asyncio.gather(*(watch_of(ses, zone).look() for _ in range(3)))
        assert (await kept(ses)).status is Status.SUCCESS
    assert [record.getMessage() for record in caplog.records] == [
        "verification of example.com (account 111111111111, us-east-1): Success, was Pending"
    ]


async def test_nothing_is_written_where_nothing_changed() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyDomainDkim", Domain="example.com")
        records = ses.ctx.stores.records
        version = await records.version()
        watch = watch_of(ses, Zone())
        await watch.look()
        await watch.look()
        assert await records.version() == version


async def test_an_identity_that_was_made_anew_meanwhile_is_left_alone() -> None:
    async with open_ses(auto_verify=False) as ses:
        token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token

        class Slow(Zone):
            async def txt(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
                await put(ses, msgspec.structs.replace(await kept(ses), token="another"))
                return await super().txt(name)

        zone = Slow()
        zone.records["_amazonses.example.com", "TXT"] = (token,)
        await watch_of(ses, zone).look()
        assert (await kept(ses)).status is Status.PENDING


async def test_an_address_fails_a_day_after_its_link_was_sent() -> None:
    async with open_ses(auto_verify=False) as ses:
        await put(ses, Identity(name="ann@example.com", status=Status.PENDING, requested_ms=ses.clock.at_ms))
        watch = watch_of(ses, Zone())
        await watch.look()
        assert (await kept(ses, "ann@example.com")).status is Status.PENDING
        ses.clock.at_ms += 24 * 60 * 60 * 1000
        await watch.look()
        assert (await kept(ses, "ann@example.com")).status is Status.FAILED


async def test_regions_have_feedback_hosts_of_their_own() -> None:
    elsewhere = Callers.ANN_ELSEWHERE.scope
    async with open_ses(auto_verify=False) as ses:
        identity = Identity(
            name="a@example.com",
            status=Status.SUCCESS,
            requested_ms=1,
            mail_from=MailFrom(domain="m.example.com", requested_ms=ses.clock.at_ms),
        )
        for scope in (ANN, elsewhere):
            await put(ses, identity, scope)
        zone = Zone()
        zone.records["m.example.com", "MX"] = ("feedback-smtp.eu-west-1.posthouse.test",)
        await watch_of(ses, zone).look()
        assert (await kept(ses, "a@example.com", elsewhere)).mail_from.status is Status.SUCCESS
        assert (await kept(ses, "a@example.com")).mail_from.status is Status.PENDING


async def test_a_database_that_is_away_stops_one_round_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_ses(auto_verify=False) as ses:
        watch = watch_of(ses, Zone(), recheck_s=0.001)
        rounds = asyncio.Event()

        async def look() -> None:
            if caplog.records:
                rounds.set()
            raise StoreUnavailable("disk full")

        monkeypatch.setattr(watch, "look", look)
        running = asyncio.create_task(watch.run())
        await asyncio.wait_for(rounds.wait(), 5)
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert running.cancelled()
    assert "identities are not looked at: disk full" in caplog.text


async def test_a_database_that_goes_away_in_the_middle_of_a_round_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ses(auto_verify=False) as ses:
        zone = Zone()
        for number in range(100):
            await put(ses, Identity(name=f"d{number}.test", status=Status.PENDING, requested_ms=1, token="t"))
            zone.records[f"_amazonses.d{number}.test", "TXT"] = ("t",)
        watch = watch_of(ses, zone)

        def gone() -> None:
            raise StoreUnavailable("disk full")

        monkeypatch.setattr(ses.ctx.stores.records, "transaction", gone)
        with pytest.raises(StoreUnavailable):
            await watch.look()
        assert len(zone.asked) <= 4 * CONCURRENCY


async def test_the_owner_is_mailed_each_change_once_whoever_makes_it() -> None:
    owner = "ops@house.example"
    async with open_ses(auto_verify=False) as ses:
        token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token
        zone = Zone()
        watches = [watch_of(ses, zone, owner=owner) for _ in range(2)]

        async def subjects() -> list[str]:
            for watch in watches * 2:
                await watch.look()
            page = await ses.ctx.stores.messages.page(ANN, MessageFilter(recipient=owner), "", 10)
            assert all(each.facts.operation == OWNER_MAIL and each.facts.system for each in page)
            return [each.facts.subject for each in reversed(page)]

        assert await subjects() == []
        zone.records["_amazonses.example.com", "TXT"] = (token,)
        told = ["Domain Verification SUCCESS for example.com in region us-east-1"]
        assert await subjects() == told
        zone.records.clear()
        ses.clock.at_ms += 60 * 60 * 1000 * 2
        told.append("Amazon SES Domain Verification REVOCATION WARNING for example.com in region us-east-1")
        assert await subjects() == told
        ses.clock.at_ms += GRACE_MS
        told.append("Amazon SES Domain Verification REVOCATION for example.com in region us-east-1")
        assert await subjects() == told
        assert await subjects() == told


async def test_a_change_that_cannot_be_mailed_is_made_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async with open_ses(auto_verify=False) as ses:
        token = (await ses.call("VerifyDomainIdentity", Domain="example.com")).verification_token
        zone = Zone()
        zone.records["_amazonses.example.com", "TXT"] = (token,)

        class Full:
            async def add(self, *args: object) -> None:
                raise StoreUnavailable("disk full")

        submission = dataclasses.replace(ses.ctx.submission, submissions=Full())  # type: ignore[arg-type]
        watch = IdentityWatch(
            ses.ctx.stores.records,
            zone,
            ses.clock,
            service_domain="posthouse.test",
            recheck_s=60,
            jitter=random.Random(3),
            tell=OwnerMail("ops@house.example", "posthouse.test", submission).tell,
        )
        await watch.look()
        assert (await kept(ses)).status is Status.SUCCESS
    assert "Domain Verification SUCCESS for example.com in region us-east-1" in caplog.text
