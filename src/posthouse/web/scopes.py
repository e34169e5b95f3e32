"""Which accounts and regions there are: nobody keeps a list, so it is gathered from what is kept in them."""

from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageFilter
from posthouse.web.call import Call

_NEWEST = 200


async def known_scopes(call: Call) -> list[Scope]:
    """Scopes with settings, identities or one of the newest messages, and the default; those the viewer may see."""
    stores = call.ctx.stores
    async with stores.records.reading() as records:
        kept = [*await records.accounts.everywhere(), *await records.identities.everywhere()]
    recent = await stores.messages.page(None, MessageFilter(), "", _NEWEST)
    found = {call.ctx.default_scope, *(each[0] for each in kept), *(each.facts.scope for each in recent)}
    return sorted(scope for scope in found if call.may_see(scope))
