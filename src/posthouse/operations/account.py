"""The account itself: may it send, how much, and how it went. Source: API reference, the four operations named here."""

from posthouse.domain.accounts import Account, limits_of
from posthouse.domain.scope import Caller
from posthouse.model.generated import (
    GetAccountSendingEnabledRequest,
    GetAccountSendingEnabledResponse,
    GetSendQuotaRequest,
    GetSendQuotaResponse,
    GetSendStatisticsRequest,
    GetSendStatisticsResponse,
    SendDataPoint,
    UpdateAccountSendingEnabledRequest,
    UpdateAccountSendingEnabledResponse,
)
from posthouse.operations.context import Context
from posthouse.submission.facts import ACCOUNT

STATISTICS_MS = 14 * 24 * 60 * 60 * 1000
"""GetSendStatistics covers the last two weeks (API reference)."""


async def get_account_sending_enabled(
    req: GetAccountSendingEnabledRequest, caller: Caller, ctx: Context
) -> GetAccountSendingEnabledResponse:
    account = await ctx.submission.facts.account(caller.scope)
    return GetAccountSendingEnabledResponse(enabled=account.sending_enabled)


async def update_account_sending_enabled(
    req: UpdateAccountSendingEnabledRequest, caller: Caller, ctx: Context
) -> UpdateAccountSendingEnabledResponse:
    async with ctx.stores.records.transaction() as tx:
        account = await tx.accounts.get(caller.scope, ACCOUNT) or Account()
        # An absent Enabled is false: API reference, "Enabled ... false, if not given".
        changed = account.with_sending_enabled(bool(req.enabled))
        await tx.accounts.put(caller.scope, ACCOUNT, changed)
    return UpdateAccountSendingEnabledResponse()


async def get_send_quota(req: GetSendQuotaRequest, caller: Caller, ctx: Context) -> GetSendQuotaResponse:
    account = await ctx.submission.facts.account(caller.scope)
    limits = limits_of(account, ctx.defaults)
    sent = await ctx.stores.submissions.sent_last_24_hours(caller.scope, ctx.clock.now_ms())
    return GetSendQuotaResponse(
        max24_hour_send=limits.max_24_hour_send, max_send_rate=limits.max_send_rate, sent_last24_hours=float(sent)
    )


async def get_send_statistics(req: GetSendStatisticsRequest, caller: Caller, ctx: Context) -> GetSendStatisticsResponse:
    points = await ctx.stores.statistics.points(caller.scope, ctx.clock.now_ms() - STATISTICS_MS)
    return GetSendStatisticsResponse(
        send_data_points=tuple(
            SendDataPoint(
                timestamp_ms=point.start_ms,
                delivery_attempts=point.delivery_attempts,
                bounces=point.bounces,
                complaints=point.complaints,
                rejects=point.rejects,
            )
            for point in points
        )
    )
