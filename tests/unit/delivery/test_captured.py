"""Captured mail: its bytes are made when somebody reads them, and always the same."""

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.delivery.captured import CapturedMessages
from posthouse.delivery.key_ring import KeyRing
from posthouse.delivery.prepare import Origin
from posthouse.delivery.set_options import SetOptions
from posthouse.domain.messages import RecipientState
from posthouse.domain.outcomes import reply_line
from posthouse.domain.routing import KEPT, Hop, RoutingTable
from posthouse.ports.mailstore import RecipientResult, Settlement


async def send(ses: Ses) -> str:
    await ses.call("VerifyDomainDkim", Domain="example.com")
    sent = await ses.call(
        "SendEmail",
        Source="ann@example.com",
        Destination__ToAddresses__member__1="bob@example.net",
        Message__Subject__Data="s",
        Message__Body__Text__Data="b",
    )
    return str(sent.message_id)


async def test_captured_mail_is_signed_for_who_reads_it() -> None:
    async with open_ses() as ses:
        stores, scope = ses.ctx.stores, Callers.ANN.scope
        message_id = await send(ses)
        messages = CapturedMessages(
            stores.messages,
            lambda: (
                KeyRing(stores.records, "posthouse.test", "none"),
                SetOptions(stores.records),
                Origin("posthouse.test", "127.0.0.1"),
            ),
        )
        assert await messages.sent(scope, message_id) is None, "it is still queued"
        await stores.queue.claim("worker", ses.clock.now_ms(), 1000, 10)
        kept = RecipientResult("bob@example.net", RecipientState.DELIVERED, reply_line(KEPT))
        await stores.queue.settle([Settlement(scope, message_id, (kept,), ())])
        made = await messages.sent(scope, message_id)
        assert made is not None
        assert made.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
        assert await messages.sent(scope, message_id) == made
        assert await stores.messages.sent(scope, message_id) is None, "nothing is stored twice"


async def test_what_really_left_is_what_was_stored() -> None:
    async with open_ses() as ses:
        stores, scope = ses.ctx.stores, Callers.ANN.scope
        message_id = await send(ses)
        await stores.queue.claim("worker", ses.clock.now_ms(), 1000, 10)
        gone = RecipientResult("bob@example.net", RecipientState.DELIVERED, "250 2.0.0 Ok: queued")
        await stores.queue.settle([Settlement(scope, message_id, (gone,), (), b"the bytes")])
        messages = CapturedMessages(stores.messages, lambda: pytest.fail("nothing is to be signed"))
        assert await messages.sent(scope, message_id) == b"the bytes"


def test_only_a_table_without_routes_captures_all() -> None:
    assert RoutingTable("capture", {}).captures_all
    assert not RoutingTable("capture", {"example.net": Hop("127.0.0.1")}).captures_all
    assert not RoutingTable("direct", {}).captures_all
