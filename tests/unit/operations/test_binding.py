"""Operations as the door calls them: limited where that is switched on, and counted by account and region."""

import pytest
from tests.support.context import Callers, open_ses

from posthouse.model.errors import Throttling
from posthouse.model.generated import GetSendQuotaRequest, RawMessage, SendRawEmailRequest, VerifyEmailIdentityRequest
from posthouse.operations.binding import bound_operations
from posthouse.operations.table import OPERATIONS


async def test_a_limited_operation_is_refused_when_called_too_soon() -> None:
    async with open_ses() as ses:
        bound = bound_operations(ses.ctx, 1)
        assert set(bound) == set(OPERATIONS)
        await bound["GetSendQuota"](GetSendQuotaRequest(), Callers.ANN)
        with pytest.raises(Throttling, match="Rate exceeded"):
            await bound["GetSendQuota"](GetSendQuotaRequest(), Callers.ANN)
        for other in (Callers.ANN_ELSEWHERE, Callers.BOB):
            await bound["GetSendQuota"](GetSendQuotaRequest(), other)
        ses.clock.at_ms += 1000
        await bound["GetSendQuota"](GetSendQuotaRequest(), Callers.ANN)


async def test_what_was_refused_did_nothing() -> None:
    async with open_ses() as ses:
        verify = bound_operations(ses.ctx, 1)["VerifyEmailIdentity"]
        await verify(VerifyEmailIdentityRequest(email_address="a@x.example"), Callers.ANN)
        with pytest.raises(Throttling):
            await verify(VerifyEmailIdentityRequest(email_address="b@x.example"), Callers.ANN)
        assert (await ses.call("ListIdentities")).identities == ("a@x.example",)


async def test_sending_is_governed_by_the_sending_rate_alone() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="x.example")
        send = bound_operations(ses.ctx, 1)["SendRawEmail"]
        raw = RawMessage(data=b"From: a@x.example\r\nTo: b@y.example\r\n\r\nhi")
        for _ in range(3):
            await send(SendRawEmailRequest(raw_message=raw), Callers.ANN)


async def test_without_a_limit_nothing_is_counted() -> None:
    async with open_ses() as ses:
        quota = bound_operations(ses.ctx, 0)["GetSendQuota"]
        for _ in range(5):
            await quota(GetSendQuotaRequest(), Callers.ANN)
        # A limit that is switched on later finds a full bucket.
        assert await ses.ctx.stores.call_rates.admit(Callers.ANN.scope, "GetSendQuota", 1)
