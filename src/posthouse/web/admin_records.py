"""/api/v1/identities, accounts, credentials, stats: what is set up, and how much was sent."""

from collections.abc import Sequence

from starlette.responses import Response

from posthouse.domain.accounts import Account, in_sandbox, limits_of
from posthouse.domain.dns_records import identity_records
from posthouse.domain.identities import Identity, MailFrom
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import StatisticsPoint
from posthouse.submission.facts import ACCOUNT as ACCOUNT_RECORD
from posthouse.web import views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.query import ACCOUNT, REGION, Param, iso, moment, number, text
from posthouse.web.scopes import known_scopes

SCOPED = (ACCOUNT, REGION)
IDENTITIES = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    *SCOPED,
)
STATS = (
    Param("since", moment(), "From this time on; left out: the last 14 days."),
    *SCOPED,
)
_FOURTEEN_DAYS_MS = 14 * 24 * 60 * 60 * 1000


async def list_identities(call: Call) -> Response:
    return json_answer(await identity_page(call, call.query["after"], call.query["limit"]))


async def identity_page(call: Call, after: str, limit: int) -> views.IdentityList:
    """Identities by account, region and name, from the one after `after` on."""
    named = call.scope()
    async with call.ctx.stores.records.reading() as records:
        found = await records.identities.everywhere()
    rows = sorted(
        (" ".join((*scope, name)), scope, identity)
        for scope, name, identity in found
        if call.may_see(scope) and named in (None, scope)
    )
    rows = [row for row in rows if row[0] > after]
    service_domain = call.ctx.service_domain
    return views.IdentityList(
        identities=[identity_view(scope, identity, service_domain) for _, scope, identity in rows[:limit]],
        next=rows[limit - 1][0] if len(rows) > limit else None,
    )


def identity_view(scope: Scope, identity: Identity, service_domain: str) -> views.Identity:
    return views.Identity(
        identity=identity.name,
        type="Domain" if identity.is_domain else "EmailAddress",
        account=scope.account,
        region=scope.region,
        status=identity.status.value,
        requested_at=iso(identity.requested_ms),
        dkim=views.Dkim(
            enabled=identity.dkim.enabled,
            status=identity.dkim.status.value,
            tokens=list(identity.dkim.tokens),
            signing=identity.dkim.signer,
        ),
        mail_from=_mail_from(identity.mail_from) if identity.mail_from.domain else None,
        records=records_to_publish(scope.region, identity, service_domain),
    )


def records_to_publish(region: str, identity: Identity, service_domain: str) -> list[views.DnsRecord]:
    """What proves the identity, publishes its keys and sets up its MAIL FROM."""
    return [
        views.DnsRecord(purpose=each.purpose, type=each.type, name=each.name, value=each.value)
        for each in identity_records(identity, region, service_domain)
    ]


def _mail_from(setting: MailFrom) -> views.MailFrom:
    return views.MailFrom(domain=setting.domain, status=setting.status.value, behavior_on_mx_failure=setting.behavior)


async def list_accounts(call: Call) -> Response:
    return json_answer(views.AccountList(await accounts_of(call)))


async def accounts_of(call: Call) -> list[views.Account]:
    """Every account the call may see, or the one it names."""
    named = call.scope()
    wanted = [scope for scope in await known_scopes(call) if named in (None, scope)] or ([named] if named else [])
    async with call.ctx.stores.records.reading() as records:
        settings = {scope: await records.accounts.get(scope, ACCOUNT_RECORD) or Account() for scope in wanted}
    return [await account_view(call, scope, account) for scope, account in settings.items()]


async def account_of(call: Call, scope: Scope) -> views.Account:
    async with call.ctx.stores.records.reading() as records:
        account = await records.accounts.get(scope, ACCOUNT_RECORD) or Account()
    return await account_view(call, scope, account)


async def account_view(call: Call, scope: Scope, account: Account) -> views.Account:
    defaults = call.ctx.account_defaults
    limits = limits_of(account, defaults)
    now_ms = call.ctx.clock.now_ms()
    return views.Account(
        account=scope.account,
        region=scope.region,
        sandbox=in_sandbox(account, defaults),
        sending_enabled=account.sending_enabled,
        paused=account.paused,
        paused_why=account.paused_why,
        max_24_hour_send=limits.max_24_hour_send,
        max_send_rate=limits.max_send_rate,
        sent_last_24_hours=await call.ctx.stores.submissions.sent_last_24_hours(scope, now_ms),
    )


async def list_credentials(call: Call) -> Response:
    return json_answer(views.CredentialList(await credentials_of(call)))


async def credentials_of(call: Call) -> list[views.Credential]:
    """Access keys, never a secret."""
    found = await call.ctx.stores.credentials.all(call.viewer.account or call.query.get("account"))
    return [
        views.Credential(
            access_key=each.access_key,
            account=each.account,
            console=each.console,
            expires_at=None if each.expires_ms is None else iso(each.expires_ms),
        )
        for each in found
    ]


async def show_statistics(call: Call) -> Response:
    return json_answer(await statistics_of(call, call.one_scope(), call.query["since"]))


async def statistics_of(call: Call, scope: Scope, since_ms: int | None) -> views.Statistics:
    now_ms = call.ctx.clock.now_ms()
    since_ms = max(0, now_ms - _FOURTEEN_DAYS_MS) if since_ms is None else since_ms
    points = await call.ctx.stores.statistics.points(scope, since_ms)
    return views.Statistics(
        account=scope.account,
        region=scope.region,
        since=iso(since_ms),
        points=points_view(points),
        totals=totals_view(points),
        sent_last_24_hours=await call.ctx.stores.submissions.sent_last_24_hours(scope, now_ms),
    )


def points_view(points: Sequence[StatisticsPoint]) -> list[views.StatisticsPoint]:
    return [
        views.StatisticsPoint(
            start_at=iso(each.start_ms),
            delivery_attempts=each.delivery_attempts,
            bounces=each.bounces,
            complaints=each.complaints,
            rejects=each.rejects,
        )
        for each in points
    ]


def totals_view(points: Sequence[StatisticsPoint]) -> views.Totals:
    return views.Totals(
        delivery_attempts=sum(each.delivery_attempts for each in points),
        bounces=sum(each.bounces for each in points),
        complaints=sum(each.complaints for each in points),
        rejects=sum(each.rejects for each in points),
    )
