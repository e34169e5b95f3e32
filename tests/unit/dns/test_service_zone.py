"""The zone of the service domain over real stores, asked by another implementation of DNS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.message
import dns.rcode
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.dns import service_zone
from posthouse.dns.service_zone import ServiceZone
from posthouse.domain.dns_records import ServiceDomain
from posthouse.ports.records import SERVICE_SCOPE, SigningKey
from posthouse.ports.stores import StoreUnavailable

TOKEN, SERVICE_TOKEN = "a" * 32, "b" * 32
DOMAIN = ServiceDomain(name="mail.test", nameservers=("ns1.mail.test",), addresses=("192.0.2.7",))


def key(token: str, *, scope: Any = Callers.ANN.scope, domain: str = "shop.example", record: str = "p=1") -> SigningKey:
    return SigningKey(
        scope=scope,
        domain=domain,
        token=token,
        algorithm="rsa-sha256",
        private_pem=b"secret",
        public_record=record,
        created_ms=0,
    )


@asynccontextmanager
async def zone() -> AsyncIterator[tuple[ServiceZone, Ses]]:
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            await tx.signing_keys.add([key(TOKEN)])
            await tx.signing_keys.add([key(SERVICE_TOKEN, scope=SERVICE_SCOPE, domain="mail.test", record="p=2")])
        yield ServiceZone(DOMAIN, ses.ctx.stores.records), ses


async def ask(asked: ServiceZone, name: str, type: str = "TXT") -> tuple[str, list[str]]:
    """The rcode, and the values of the answer."""
    packet = await asked.answer(dns.message.make_query(name, type).to_wire(), tcp=False)
    assert packet is not None
    reply = dns.message.from_wire(packet)
    return dns.rcode.to_text(reply.rcode()), [str(record) for each in reply.answer for record in each]


async def test_an_identitys_key_is_found_by_its_token() -> None:
    async with zone() as (asked, _):
        assert await ask(asked, f"{TOKEN}.dkim.mail.test.") == ("NOERROR", ['"p=1"'])
        assert await ask(asked, f"{TOKEN.upper()}.DKIM.mail.test.") == ("NOERROR", ['"p=1"'])
        assert await ask(asked, f"{TOKEN}.dkim.mail.test.", "A") == ("NOERROR", [])


async def test_the_service_domains_own_key_stands_at_its_selector() -> None:
    async with zone() as (asked, _):
        assert await ask(asked, f"{SERVICE_TOKEN}._domainkey.mail.test.") == ("NOERROR", ['"p=2"'])


async def test_each_key_stands_in_its_place_only() -> None:
    async with zone() as (asked, _):
        for name in (f"{TOKEN}._domainkey", f"{SERVICE_TOKEN}.dkim", f"{'c' * 32}.dkim", "short.dkim", TOKEN):
            assert await ask(asked, f"{name}.mail.test.") == ("NXDOMAIN", []), name
        for parent in ("dkim", "_domainkey"):
            assert await ask(asked, f"{parent}.mail.test.") == ("NOERROR", [])


async def test_every_region_has_its_mail_from_and_its_hosts() -> None:
    async with zone() as (asked, _):
        assert await ask(asked, "ap-south-1.mail.test.", "MX") == (
            "NOERROR",
            ["10 feedback-smtp.ap-south-1.mail.test."],
        )
        assert await ask(asked, "ap-south-1.mail.test.") == ("NOERROR", ['"v=spf1 ip4:192.0.2.7 -all"'])
        for host in ("feedback-smtp", "inbound-smtp"):
            assert await ask(asked, f"{host}.ap-south-1.mail.test.", "A") == ("NOERROR", ["192.0.2.7"])
        assert await ask(asked, "mars-north-1.mail.test.", "MX") == ("NXDOMAIN", [])


async def test_a_change_is_seen_at_once_and_moves_the_serial() -> None:
    async with zone() as (asked, ses):
        name = f"{'d' * 32}.dkim.mail.test."
        assert await ask(asked, name) == ("NXDOMAIN", [])
        _, [before] = await ask(asked, "mail.test.", "SOA")
        async with ses.ctx.stores.records.transaction() as tx:
            await tx.signing_keys.add([key("d" * 32)])
        assert await ask(asked, name) == ("NOERROR", ['"p=1"'])
        _, [after] = await ask(asked, "mail.test.", "SOA")
        assert int(after.split()[2]) == int(before.split()[2]) + 1
        async with ses.ctx.stores.records.transaction() as tx:
            await tx.signing_keys.delete(Callers.ANN.scope, "shop.example")
        assert await ask(asked, name) == ("NXDOMAIN", [])


class Failing:
    """A database that does not answer, once told so."""

    def __init__(self, records: Any) -> None:
        self._records, self.broken, self.hangs, self.reads = records, False, False, 0

    async def version(self) -> int:
        await self._fail()
        return int(await self._records.version())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        self.reads += 1
        await self._fail()
        async with self._records.reading() as reading:
            yield reading

    async def _fail(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.broken:
            raise StoreUnavailable("gone")


@pytest.mark.parametrize("way", ["broken", "hangs"])
async def test_without_a_database_everything_known_is_still_answered(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_zone, "VERSION_S", 0.01)
    monkeypatch.setattr(service_zone, "LOOKUP_S", 0.01)
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            await tx.signing_keys.add([key(TOKEN)])
        records = Failing(ses.ctx.stores.records)
        asked = ServiceZone(DOMAIN, records)  # type: ignore[arg-type]
        await ask(asked, f"{TOKEN}.dkim.mail.test.")
        setattr(records, way, True)
        assert await ask(asked, f"{TOKEN}.dkim.mail.test.") == ("NOERROR", ['"p=1"'])
        assert (await ask(asked, "us-east-1.mail.test.", "MX"))[0] == "NOERROR"
        assert await ask(asked, f"{SERVICE_TOKEN}.dkim.mail.test.") == ("SERVFAIL", [])


async def test_a_flood_of_invented_names_drives_out_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_zone, "MAX_KEYS", 4)
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            await tx.signing_keys.add([key(TOKEN)])
        records = Failing(ses.ctx.stores.records)
        asked = ServiceZone(DOMAIN, records)  # type: ignore[arg-type]
        await ask(asked, f"{TOKEN}.dkim.mail.test.")
        for letter in "cdefghijklm":
            assert (await ask(asked, f"{letter * 32}.dkim.mail.test."))[0] == "NXDOMAIN"
        before = records.reads
        await ask(asked, f"{TOKEN}.dkim.mail.test.")
        await ask(asked, "not-a-token.dkim.mail.test.")
        assert records.reads == before
