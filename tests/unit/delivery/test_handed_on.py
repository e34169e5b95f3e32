"""Mail that is handed on leaves as it came: with its own date and id, under a signature that is ours alone."""

from tests.support.context import Callers, open_ses
from tests.support.preparing import preparing

from posthouse.delivery.prepared import Prepared
from posthouse.submission.system_mail import Letter, send_letter
from posthouse.upkeep.service_keys import ensure_service_keys

REPLY = (
    b"Received: from mx.mail.example by mx.posthouse.test\r\nDKIM-Signature: v=1; d=mail.example\r\n"
    b"From: Dana <dana@mail.example>\r\nMessage-ID: <r1@mail.example>\r\nDate: Thu, 2 May 2024 09:15:30 +0000\r\n"
    b"\r\nAway.\r\n"
)


async def test_a_reply_keeps_its_header_section() -> None:
    async with open_ses() as ses, preparing(ses, service_signature="ed25519") as prepare:
        ctx = ses.ctx
        await ensure_service_keys(ctx.stores.records, "posthouse.test", ses.clock, ctx.random)
        # The account has the domain of who answers: its key has no business here.
        await ses.call("VerifyDomainDkim", Domain="mail.example")
        for as_is in (True, False):
            letter = Letter(
                operation="FeedbackForwarding",
                source="MAILER-DAEMON@posthouse.test",
                to="orders@shop.example",
                subject="Out of office",
                content=REPLY,
                as_is=as_is,
            )
            await send_letter(letter, Callers.ANN.scope, ctx.submission)
            [claimed] = await ctx.stores.queue.claim("w", ses.clock.now_ms(), 1000, 10)
            made = await prepare(claimed)
            assert isinstance(made, Prepared)
            assert made.mail_from == "", "nothing ever comes back"
            signature, rest = made.content.split(b"\r\nReceived: ", 1)
            assert signature.count(b"DKIM-Signature:") == 1
            assert b"d=posthouse.test" in signature
            assert (b"Received: " + rest == REPLY) is as_is
            assert (b"Message-ID: <r1@mail.example>" in rest) is as_is
