"""Who has left a mailing list: kept with its event, and told with each claim."""

import msgspec
from tests.contract.values import NOW_MS, OTHER_REGION, OURS, THEIRS, message

from posthouse.domain.events import EventType
from posthouse.domain.mailing_lists import MailingList, Unsubscription, left_event
from posthouse.domain.messages import NewMessage
from posthouse.domain.scope import Scope
from posthouse.stores.open import SqlStores


def entry(address: str, topic: str = "", name: str = "news") -> Unsubscription:
    return Unsubscription(name=name, topic=topic, address=address, at_ms=NOW_MS, message_id="m1")


async def leave(stores: SqlStores, left: Unsubscription, scope: Scope = OURS) -> bool:
    return await stores.unsubscriptions.add(scope, left, left_event(scope, left, "", "UnsubscribeHeader"))


def for_list(number: int, options: MailingList | None, *recipients: str) -> NewMessage:
    plain = message(number, *recipients)
    return NewMessage(msgspec.structs.replace(plain.facts, mailing_list=options), plain.recipients, plain.content)


async def test_an_unsubscription_is_kept_once_with_its_event(stores: SqlStores) -> None:
    assert await leave(stores, entry("a@x.example"))
    assert not await leave(stores, entry("a@x.example"))
    assert await leave(stores, entry("a@x.example", "offers"))
    assert await leave(stores, entry("a@x.example"), THEIRS)
    logged = await stores.events.page(None, 0, 10, EventType.SUBSCRIPTION)
    assert [(each.event.scope, each.event.detail["topic"]) for each in logged] == [
        (OURS, ""),
        (OURS, "offers"),
        (THEIRS, ""),
    ]


async def test_pages_and_removal(stores: SqlStores) -> None:
    for address in ("c@x.example", "a@x.example", "b@x.example"):
        await leave(stores, entry(address))
    await leave(stores, entry("a@x.example", "offers"))
    await leave(stores, entry("a@x.example", name="other"))
    first = await stores.unsubscriptions.page(OURS, "news", "", 2)
    assert [each.address for each in first] == ["a@x.example", "b@x.example"]
    rest = await stores.unsubscriptions.page(OURS, "news", f"{first[-1].topic} {first[-1].address}", 9)
    assert rest == [entry("c@x.example"), entry("a@x.example", "offers")]
    assert await stores.unsubscriptions.page(OTHER_REGION, "news", "", 9) == []
    assert await stores.unsubscriptions.remove(OURS, "news", "", "A@x.example")
    assert not await stores.unsubscriptions.remove(OURS, "news", "", "a@x.example")
    assert len(await stores.unsubscriptions.page(OURS, "news", "", 9)) == 3


async def test_a_claim_tells_who_has_left_the_list_of_the_message(stores: SqlStores) -> None:
    await leave(stores, entry("all@x.example"))
    await leave(stores, entry("offers@x.example", "offers"))
    await leave(stores, entry("other@x.example", name="other"))
    await leave(stores, entry("theirs@x.example"), THEIRS)
    everybody = tuple(f"{name}@x.example" for name in ("ALL", "offers", "other", "theirs", "nobody"))
    for number, options in enumerate((MailingList("news"), MailingList("news", "offers"), None), 1):
        await stores.submissions.add(for_list(number, options, *everybody), None)
    claimed = await stores.queue.claim("w", NOW_MS, 1000, 100)
    left = {
        each.facts.message_id: {recipient.recipient for recipient in each.recipients if recipient.unsubscribed}
        for each in claimed
    }
    ids = [message(number).facts.message_id for number in (1, 2, 3)]
    assert left == {ids[0]: {"ALL@x.example"}, ids[1]: {"ALL@x.example", "offers@x.example"}, ids[2]: set()}
    assert all(len(each.recipients) == 5 for each in claimed)
