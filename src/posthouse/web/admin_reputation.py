"""/api/v1/reputation: bounce and complaint rates beside SES's lines."""

from starlette.responses import Response

from posthouse.domain.accounts import Account
from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.domain.reputation import assess, since
from posthouse.domain.scope import Scope
from posthouse.submission.facts import ACCOUNT
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.reputation_views import Reputation, ReputationList, reputation_view
from posthouse.web.scopes import known_scopes


async def list_reputation(call: Call) -> Response:
    named = call.scope()
    scopes = [named] if named else await known_scopes(call)
    async with call.ctx.stores.records.reading() as records:
        sets = await records.configuration_sets.everywhere()
    found = []
    for scope in scopes:
        found.append(await account_reputation(call, scope))
        watched = [(name, kept) for of, name, kept in sets if of == scope and kept.reputation_metrics]
        found += [
            await set_reputation(call, scope, name, kept) for name, kept in sorted(watched, key=lambda row: row[0])
        ]
    return json_answer(ReputationList(reputation=found))


async def account_reputation(call: Call, scope: Scope) -> Reputation:
    async with call.ctx.stores.records.reading() as records:
        account = await records.accounts.get(scope, ACCOUNT) or Account()
    now_ms, fresh_ms = call.ctx.clock.now_ms(), account.fresh_start_ms
    points = await call.ctx.stores.statistics.points(scope, since(now_ms, fresh_ms))
    sending = account.sending_enabled and not account.paused
    return reputation_view(scope, None, assess(points, now_ms, fresh_ms), sending=sending, fresh_start_ms=fresh_ms)


async def set_reputation(call: Call, scope: Scope, name: str, kept: ConfigurationSet) -> Reputation:
    now_ms, fresh_ms = call.ctx.clock.now_ms(), kept.fresh_start_ms
    points = await call.ctx.stores.statistics.points_of_set(scope, name, since(now_ms, fresh_ms))
    found = assess(points, now_ms, fresh_ms)
    return reputation_view(scope, name, found, sending=kept.sending_enabled, fresh_start_ms=fresh_ms)
