"""Messages: pages, search, deletion, blobs."""

import os

import pytest
from tests.contract.conftest import Backend
from tests.contract.values import NOW_MS, OTHER_REGION, OURS, THEIRS, delivered, message, message_id, result, settlement

from posthouse.domain.messages import Direction, NewMessage, RecipientState
from posthouse.ports.mailstore import MailSettlement, MessageFilter
from posthouse.stores import search
from posthouse.stores.open import ABANDONED_MS, SqlStores

EVERYTHING = MessageFilter()
Ids = list[str]


async def _fill(stores: SqlStores, *messages: NewMessage) -> Ids:
    for one in messages:
        await (stores.inbox.add(one) if one.facts.direction is Direction.IN else stores.submissions.add(one, None))
    return [one.facts.message_id for one in messages]


async def _ids(stores: SqlStores, wanted: MessageFilter, scope: object = OURS, step: int = 3) -> Ids:
    """All pages, one after the other."""
    ids: Ids = []
    while page := await stores.messages.page(scope, wanted, ids[-1] if ids else "", step):  # type: ignore[arg-type]
        ids += [one.facts.message_id for one in page]
    assert len(ids) == len(set(ids))
    return ids


async def test_pages_bring_the_newest_first_and_each_once(stores: SqlStores) -> None:
    ids = await _fill(stores, *(message(n, at_ms=NOW_MS + n // 3) for n in range(10)))
    await _fill(stores, message(99, scope=THEIRS), message(98, scope=OTHER_REGION))
    assert await _ids(stores, EVERYTHING) == ids[::-1]
    assert len(await _ids(stores, EVERYTHING, scope=None)) == 12


async def test_pages_over_all_scopes_are_by_time(stores: SqlStores) -> None:
    scopes = [OURS, THEIRS, OTHER_REGION]
    ids = await _fill(stores, *(message(n, scope=scopes[n % 3], at_ms=NOW_MS + n) for n in range(9)))
    assert await _ids(stores, EVERYTHING, scope=None, step=2) == ids[::-1]


async def test_what_comes_in_meanwhile_does_not_move_the_pages(stores: SqlStores) -> None:
    ids = await _fill(stores, *(message(n, at_ms=NOW_MS + n) for n in range(6)))
    first = [one.facts.message_id for one in await stores.messages.page(OURS, EVERYTHING, "", 3)]
    await _fill(stores, message(50, at_ms=NOW_MS + 50))
    second = [one.facts.message_id for one in await stores.messages.page(OURS, EVERYTHING, first[-1], 3)]
    assert first + second == ids[::-1]


@pytest.mark.parametrize("wanted", [EVERYTHING, MessageFilter(recipient="a@x"), MessageFilter(subject="hello")])
async def test_a_page_can_start_at_a_message_that_was_deleted(stores: SqlStores, wanted: MessageFilter) -> None:
    ids = await _fill(stores, *(message(n, "a@x", at_ms=NOW_MS + n) for n in range(4)))
    await stores.messages.delete(OURS, ids[2])
    page = await stores.messages.page(OURS, wanted, ids[2], 10)
    assert [one.facts.message_id for one in page] == [ids[1], ids[0]]
    assert await stores.messages.page(OURS, wanted, "nobody's", 10) == []


@pytest.fixture
async def mixed(stores: SqlStores) -> Ids:
    ids = await _fill(
        stores,
        message(0, "Ann@X.example", "bob@x.example", source="Shop <News@Shop.example>", subject="Sale: 50% off_now"),
        message(1, "bob@x.example", source="news@shop.example", subject="ÄRGER!", at_ms=NOW_MS + 1),
        message(2, "ann@x.example", source="x@y.example", subject="sale", at_ms=NOW_MS + 2),
        message(3, "ann@x.example", "ANN@x.example", direction=Direction.IN, at_ms=NOW_MS + 3),
        message(4, "ann@x.example", scope=THEIRS, subject="sale", at_ms=NOW_MS + 4),
    )
    await stores.queue.settle([delivered(message(0), "bob@x.example")])
    return ids


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (MessageFilter(recipient="ann@x.example"), [3, 2, 0]),
        (MessageFilter(recipient="ANN@X.EXAMPLE", since_ms=NOW_MS + 2), [3, 2]),
        (MessageFilter(recipient="nn@x.example"), []),
        (MessageFilter(sender="NEWS@shop.example"), [1, 0]),
        (MessageFilter(sender="Whoever <news@shop.example>"), [1, 0]),
        (MessageFilter(sender="news"), []),
        (MessageFilter(subject="SALE"), [2, 0]),
        (MessageFilter(subject="50% OFF"), [0]),
        (MessageFilter(subject="5_%"), []),
        (MessageFilter(subject="off_n"), [0]),
        (MessageFilter(subject="ärger!"), [1]),
        (MessageFilter(status="delivered"), [0]),
        (MessageFilter(status="Queued"), [2, 1, 0]),
        (MessageFilter(status="nonsense"), []),
        (MessageFilter(direction=Direction.IN), [3]),
        (MessageFilter(since_ms=NOW_MS + 2), [3, 2]),
        (MessageFilter(recipient="bob@x.example", sender="news@shop.example", status="delivered"), [0]),
        (MessageFilter(recipient="ann@x.example", subject="sale", direction=Direction.OUT), [2, 0]),
        (MessageFilter(sender="x@y.example", since_ms=NOW_MS + 3), []),
    ],
)
async def test_search_finds_what_matches(
    stores: SqlStores, mixed: Ids, wanted: MessageFilter, found: list[int]
) -> None:
    assert await _ids(stores, wanted) == [mixed[n] for n in found]
    everywhere = await _ids(stores, wanted, scope=None)
    assert [one for one in everywhere if one != mixed[4]] == [mixed[n] for n in found]
    assert await _ids(stores, wanted, scope=OTHER_REGION) == []


async def test_search_by_recipient_reaches_over_all_shelves(stores: SqlStores) -> None:
    rare = await _fill(stores, message(0, "rare@x", at_ms=NOW_MS - 1))
    crowd = [f"r{n}@x" for n in range(search.SHELF)]
    for n in range(1, 6):
        await _fill(stores, message(n, *crowd, "often@x", at_ms=NOW_MS + n))
    wanted = MessageFilter(recipient="rare@x")
    assert await _ids(stores, wanted) == rare
    assert await _ids(stores, wanted, scope=None) == rare
    assert await _ids(stores, MessageFilter(recipient="rare@x", since_ms=NOW_MS)) == []
    assert len(await _ids(stores, MessageFilter(recipient="OFTEN@x"), step=2)) == 5


async def test_find_needs_no_scope(stores: SqlStores) -> None:
    for n, scope in enumerate([THEIRS, OURS, OTHER_REGION]):
        await _fill(stores, message(n, scope=scope))
    found = await stores.messages.find(message_id(2))
    assert found is not None
    assert found.facts.scope == OTHER_REGION
    assert await stores.messages.find(message_id(9)) is None


async def test_other_scopes_cannot_read_a_message(stores: SqlStores) -> None:
    [id] = await _fill(stores, message(1))
    await stores.queue.settle([delivered(message(1), "user1@example.net")])
    for other in (THEIRS, OTHER_REGION):
        assert await stores.messages.get(other, id) is None
        assert await stores.messages.content(other, id) is None
        assert await stores.messages.sent(other, id) is None
        assert not await stores.messages.delete(other, id)
        assert await stores.events.of_message(other, id) == []
    assert await stores.messages.sent(OURS, id) == b"sent"


async def test_deleting_takes_content_and_queue_rows_along(stores: SqlStores) -> None:
    [id] = await _fill(stores, message(1, content=b"x" * 1_000_000))
    assert await stores.messages.delete(OURS, id)
    assert not await stores.messages.delete(OURS, id)
    assert await stores.messages.get(OURS, id) is None
    assert await stores.messages.content(OURS, id) is None
    assert await stores.queue.depth() == 0
    assert [info async for info in stores._blobs.listing()] == []


async def test_emptying_the_inbox_keeps_what_is_not_at_its_end(stores: SqlStores, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("posthouse.stores.messages.DELETED_AT_ONCE", 2)
    ended = [message(n, "a@x") for n in range(5)]
    waiting = message(9, "a@x", "b@x")
    handled, came_in = message(20, direction=Direction.IN), message(21, direction=Direction.IN)
    await _fill(stores, *ended, waiting, handled, came_in, message(30, scope=THEIRS))
    await stores.queue.settle([delivered(one, "a@x") for one in (*ended, waiting)])
    await stores.inbox.claim("w", NOW_MS, 1000, 10)
    await stores.inbox.settle("w", [MailSettlement(OURS, message_id(20))])
    assert await stores.messages.delete_all(OURS) == 6
    assert await _ids(stores, EVERYTHING, scope=None) == [message_id(30), message_id(21), message_id(9)]
    assert len(await stores.events.page(OURS, 0, 100)) == 6


async def test_only_old_blobs_that_no_row_names_are_swept(stores: SqlStores, backend: Backend) -> None:
    [kept] = await _fill(stores, message(1, content=b"x" * 1_000_000))
    later = result("user1@example.net", RecipientState.QUEUED, "", NOW_MS)
    for sent in (b"a" * 1_000_000, b"b" * 1_000_000):
        await stores.queue.settle([settlement(message(1), later, sent=sent)])
    await stores._blobs.put("abandoned-and-old", b"x")
    await stores._blobs.put("abandoned-and-new", b"x")
    for path in stores._blobs._directory.rglob("*"):  # type: ignore[attr-defined]
        age_ms = 0 if path.name == "abandoned-and-new" else ABANDONED_MS + 1
        os.utime(path, ns=((NOW_MS - age_ms) * 1_000_000,) * 2)
    assert await stores.sweep_blobs() == 2
    assert len([info async for info in stores._blobs.listing()]) == 3
    assert await stores.messages.content(OURS, kept) == b"x" * 1_000_000
    assert await stores.messages.sent(OURS, kept) == b"b" * 1_000_000
