"""A request on its way to a handler: who looks, at what, with which parameters."""

import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from posthouse.domain.messages import StoredMessage
from posthouse.domain.scope import Scope
from posthouse.web.context import WebContext
from posthouse.web.problems import Problem, no_such_message
from posthouse.web.sessions import Viewer
from posthouse.web.taps import Taps

_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Call:
    """What every handler is given."""

    ctx: WebContext
    taps: Taps
    request: Request
    viewer: Viewer
    query: dict[str, Any]
    """By name, read and with defaults, of the parameters the route declares."""

    def scope(self) -> Scope | None:
        """The scope asked for; None where everything is meant. Raises Problem (403) for somebody else's."""
        account, region = self.query.get("account"), self.query.get("region")
        if self.viewer.account is not None:
            if account not in (None, self.viewer.account):
                raise Problem(403, f"You are signed in to account {self.viewer.account}.", parameter="account")
            account = self.viewer.account
        if account is None and region is None:
            return None
        default = self.ctx.default_scope
        return Scope(account or default.account, region or default.region)

    def one_scope(self) -> Scope:
        """As `scope`, with the default scope for everything."""
        return self.scope() or self.ctx.default_scope

    def may_see(self, scope: Scope) -> bool:
        return self.viewer.account in (None, scope.account)

    async def message(self) -> StoredMessage:
        """The message the path names. Raises Problem (404), also for one of an account that is not yours."""
        message_id = self.request.path_params["message_id"]
        if not _MESSAGE_ID.match(message_id):
            raise Problem(404, "There is no such message.")
        found = await self.ctx.stores.messages.find(message_id)
        if found is None or not self.may_see(found.facts.scope):
            raise no_such_message(message_id)
        return found
