"""The suppression list: hard bounces and complaints add to it as they are logged; claims tell of it."""

import msgspec
from tests.contract.values import HOUR_MS, NOW_MS, OTHER_REGION, OURS, THEIRS, message, message_id

from posthouse.domain.events import Event, EventType
from posthouse.domain.scope import Scope
from posthouse.domain.suppression import Reason, SuppressedAddress
from posthouse.stores.open import SqlStores


def bounce(*recipients: str, scope: Scope = OURS, type: str = "Permanent", subtype: str = "General") -> Event:
    detail = {"kind": {"type": type, "subtype": subtype}}
    return Event(
        scope=scope, message_id="m1", type=EventType.BOUNCE, at_ms=NOW_MS, recipients=recipients, detail=detail
    )


def entry(address: str, reason: Reason = Reason.BOUNCE, at_ms: int = NOW_MS, message: str = "m1") -> SuppressedAddress:
    return SuppressedAddress(address=address, reason=reason, at_ms=at_ms, message_id=message)


async def test_a_hard_bounce_puts_its_recipients_on_the_list_of_their_scope_alone(stores: SqlStores) -> None:
    await stores.events.append([bounce("B@X.example", "a@x.example")])
    assert await stores.suppressions.page(OURS, "", 10) == [entry("a@x.example"), entry("b@x.example")]
    assert await stores.suppressions.get(OURS, "b@X.EXAMPLE") == entry("b@x.example")
    for other in (OTHER_REGION, THEIRS):
        assert await stores.suppressions.page(other, "", 10) == []


async def test_what_is_no_verdict_of_a_mailbox_adds_nobody(stores: SqlStores) -> None:
    soft = bounce("soft@x.example", type="Transient")
    held_back = bounce("again@x.example", subtype="OnAccountSuppressionList")
    simulator = msgspec.structs.replace(bounce("bounce@simulator.amazonses.com"), simulated=1)
    delivered = Event(scope=OURS, message_id="m3", type=EventType.DELIVERY, at_ms=NOW_MS, recipients=("ok@x.example",))
    system = msgspec.structs.replace(bounce("orders@x.example"), uncounted=True)
    await stores.events.append([soft, held_back, simulator, delivered, system])
    assert await stores.suppressions.page(OURS, "", 10) == []


async def test_a_complaint_replaces_a_bounce(stores: SqlStores) -> None:
    complaint = Event(
        scope=OURS, message_id="m9", type=EventType.COMPLAINT, at_ms=NOW_MS + 1, recipients=("a@x.example",)
    )
    await stores.events.append([bounce("a@x.example"), complaint])
    assert await stores.suppressions.get(OURS, "a@x.example") == entry(
        "a@x.example", Reason.COMPLAINT, NOW_MS + 1, "m9"
    )


async def test_an_operator_adds_and_removes_and_pages(stores: SqlStores) -> None:
    for name in ("c", "a", "b"):
        await stores.suppressions.add(OURS, entry(f"{name}@x.example", Reason.COMPLAINT, message=""))
    first = await stores.suppressions.page(OURS, "", 2)
    assert [each.address for each in first] == ["a@x.example", "b@x.example"]
    assert [each.address for each in await stores.suppressions.page(OURS, "B@x.example", 2)] == ["c@x.example"]
    assert await stores.suppressions.remove(OURS, "A@x.example")
    assert not await stores.suppressions.remove(OURS, "a@x.example")
    assert not await stores.suppressions.remove(THEIRS, "b@x.example")
    assert await stores.suppressions.get(OURS, "a@x.example") is None


async def test_entries_expire_by_their_age(stores: SqlStores) -> None:
    await stores.suppressions.add(OURS, entry("old@x.example", at_ms=NOW_MS - HOUR_MS))
    await stores.suppressions.add(THEIRS, entry("new@x.example"))
    assert await stores.suppressions.expire(NOW_MS) == 1
    assert await stores.suppressions.get(OURS, "old@x.example") is None
    assert await stores.suppressions.get(THEIRS, "new@x.example") is not None


async def test_a_claim_tells_who_is_on_the_list(stores: SqlStores) -> None:
    await stores.suppressions.add(OURS, entry("held@x.example", Reason.COMPLAINT))
    await stores.submissions.add(message(1, "Held@X.example", "free@x.example"), None)
    await stores.submissions.add(message(2, "held@x.example", scope=THEIRS), None)
    claimed = await stores.queue.claim("me", NOW_MS, 1000, 10)
    told = {(m.facts.message_id, r.recipient): r.suppressed for m in claimed for r in m.recipients}
    assert told == {
        (message_id(1), "Held@X.example"): "COMPLAINT",
        (message_id(1), "free@x.example"): "",
        (message_id(2), "held@x.example"): "",
    }


async def test_addresses_are_found_by_a_part_of_them(stores: SqlStores) -> None:
    for address in ("a_b@x.example", "acb@x.example", "d%!e@y.example"):
        await stores.suppressions.add(OURS, entry(address))

    async def found(part: str, after: str = "") -> list[str]:
        return [each.address for each in await stores.suppressions.page(OURS, after, 10, part)]

    assert await found("X.Example") == ["a_b@x.example", "acb@x.example"]
    assert await found("x.example", after="a_b@x.example") == ["acb@x.example"]
    assert (await found("A_B"), await found("%!e"), await found("_@")) == (["a_b@x.example"], ["d%!e@y.example"], [])
