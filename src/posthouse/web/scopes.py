"""Which accounts and regions there are: nobody keeps a list, so it is gathered from what is kept in them."""

from posthouse.domain.reputation import since
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageFilter
from posthouse.web.call import Call

_NEWEST = 200


async def known_scopes(call: Call) -> list[Scope]:
    """Scopes with settings, with mail of the last days or one of the newest messages, the viewer's own and the default;
    those the viewer may see."""
    stores = call.ctx.stores
    async with stores.records.reading() as records:
        kept = [
            *await records.accounts.everywhere(),
            *await records.identities.everywhere(),
            *await records.configuration_sets.everywhere(),
            *await records.active_rule_sets.everywhere(),
        ]
    sent = await stores.statistics.scopes(since(call.ctx.clock.now_ms()))
    recent = await stores.messages.page(None, MessageFilter(), "", _NEWEST)
    default = call.ctx.default_scope
    own = Scope(call.viewer.account or default.account, default.region)
    found = {default, own, *sent, *(each[0] for each in kept), *(each.facts.scope for each in recent)}
    return sorted(scope for scope in found if call.may_see(scope))
