"""Configuration sets and their options. Source: API reference, the operations named here; answers observed on the live
service."""

import msgspec

from posthouse.domain import configuration_sets as domain
from posthouse.domain.configuration_sets import OPTIONAL, ConfigurationSet
from posthouse.domain.scope import Caller, Scope
from posthouse.model import generated as model
from posthouse.model.errors import InvalidParameterValue
from posthouse.operations.context import Context
from posthouse.operations.event_destinations import shown_destination
from posthouse.operations.paging import Pages
from posthouse.operations.set_records import change_set, find_set
from posthouse.ports.records import Transaction

DEFAULT_PAGE = 50
MAX_PAGE = 1000


async def create_configuration_set(
    req: model.CreateConfigurationSetRequest, caller: Caller, ctx: Context
) -> model.CreateConfigurationSetResponse:
    scope, name = caller.scope, req.configuration_set.name
    domain.check_set_name(name)
    async with ctx.stores.records.transaction() as tx:
        known = await tx.configuration_sets.get(scope, name)
        domain.check_new_set(name, known is not None, await tx.configuration_sets.count(scope))
        await tx.configuration_sets.put(scope, name, ConfigurationSet(created_ms=ctx.clock.now_ms()))
    return model.CreateConfigurationSetResponse()


async def delete_configuration_set(
    req: model.DeleteConfigurationSetRequest, caller: Caller, ctx: Context
) -> model.DeleteConfigurationSetResponse:
    name = req.configuration_set_name
    async with ctx.stores.records.transaction() as tx:
        await find_set(tx, caller.scope, name)
        await tx.configuration_sets.delete(caller.scope, name)
    return model.DeleteConfigurationSetResponse()


async def list_configuration_sets(
    req: model.ListConfigurationSetsRequest, caller: Caller, ctx: Context
) -> model.ListConfigurationSetsResponse:
    # Probed: what is out of range is served as if nothing had been asked for, and a bad token gets no message.
    asked = req.max_items if req.max_items is not None else DEFAULT_PAGE
    limit = asked if 1 <= asked <= MAX_PAGE else DEFAULT_PAGE
    pages = Pages("configuration-sets", caller.scope)
    after = pages.name_before(req.next_token)
    if after is None:
        raise InvalidParameterValue
    async with ctx.stores.records.reading() as reading:
        page = await reading.configuration_sets.page(caller.scope, after, limit + 1)
    return model.ListConfigurationSetsResponse(
        configuration_sets=tuple([model.ConfigurationSet(name=name) for name, _ in page[:limit]]),
        next_token=pages.token_after(page[limit - 1][0]) if len(page) > limit else None,
    )


async def describe_configuration_set(
    req: model.DescribeConfigurationSetRequest, caller: Caller, ctx: Context
) -> model.DescribeConfigurationSetResponse:
    """The name, and of the rest what is asked for (probed)."""
    name = req.configuration_set_name
    async with ctx.stores.records.reading() as reading:
        found = await find_set(reading, caller.scope, name)
    wanted = frozenset(req.configuration_set_attribute_names or ())
    return model.DescribeConfigurationSetResponse(
        configuration_set=model.ConfigurationSet(name=name),
        event_destinations=tuple(map(shown_destination, found.destinations)) if "eventDestinations" in wanted else None,
        tracking_options=_tracking(found) if "trackingOptions" in wanted else None,
        delivery_options=model.DeliveryOptions(tls_policy=found.tls_policy) if "deliveryOptions" in wanted else None,
        reputation_options=_reputation(found) if "reputationOptions" in wanted else None,
    )


def _tracking(found: ConfigurationSet) -> model.TrackingOptions | None:
    if found.redirect_domain is None:
        return None
    return model.TrackingOptions(custom_redirect_domain=found.redirect_domain)


def _reputation(found: ConfigurationSet) -> model.ReputationOptions:
    return model.ReputationOptions(
        sending_enabled=found.sending_enabled,
        reputation_metrics_enabled=found.reputation_metrics,
        last_fresh_start_ms=found.fresh_start_ms,
    )


# -- options


async def create_configuration_set_tracking_options(
    req: model.CreateConfigurationSetTrackingOptionsRequest, caller: Caller, ctx: Context
) -> model.CreateConfigurationSetTrackingOptionsResponse:
    name, redirect = req.configuration_set_name, req.tracking_options.custom_redirect_domain or ""
    async with ctx.stores.records.transaction() as tx:
        await _check_redirect(tx, caller.scope, redirect)
        found = await find_set(tx, caller.scope, name)
        changed = domain.with_new_redirect_domain(name, found, redirect)
        await tx.configuration_sets.put(caller.scope, name, changed)
    return model.CreateConfigurationSetTrackingOptionsResponse()


async def update_configuration_set_tracking_options(
    req: model.UpdateConfigurationSetTrackingOptionsRequest, caller: Caller, ctx: Context
) -> model.UpdateConfigurationSetTrackingOptionsResponse:
    name, redirect = req.configuration_set_name, req.tracking_options.custom_redirect_domain or ""
    async with ctx.stores.records.transaction() as tx:
        await _check_redirect(tx, caller.scope, redirect)
        found = await find_set(tx, caller.scope, name)
        await tx.configuration_sets.put(caller.scope, name, domain.with_redirect_domain(name, found, redirect))
    return model.UpdateConfigurationSetTrackingOptionsResponse()


async def _check_redirect(tx: Transaction, scope: Scope, redirect: str) -> None:
    """Before the set is looked for: as probed."""
    covering = await tx.identities.get_many(scope, domain.covering_names(redirect))
    domain.check_redirect_domain(redirect, covering)


async def delete_configuration_set_tracking_options(
    req: model.DeleteConfigurationSetTrackingOptionsRequest, caller: Caller, ctx: Context
) -> model.DeleteConfigurationSetTrackingOptionsResponse:
    name = req.configuration_set_name
    await change_set(name, caller, ctx, lambda found: domain.with_redirect_domain(name, found, None))
    return model.DeleteConfigurationSetTrackingOptionsResponse()


async def put_configuration_set_delivery_options(
    req: model.PutConfigurationSetDeliveryOptionsRequest, caller: Caller, ctx: Context
) -> model.PutConfigurationSetDeliveryOptionsResponse:
    # What is not given is cleared to the default (probed).
    policy = (req.delivery_options and req.delivery_options.tls_policy) or OPTIONAL
    await change_set(
        req.configuration_set_name, caller, ctx, lambda found: msgspec.structs.replace(found, tls_policy=policy)
    )
    return model.PutConfigurationSetDeliveryOptionsResponse()


async def update_configuration_set_reputation_metrics_enabled(
    req: model.UpdateConfigurationSetReputationMetricsEnabledRequest, caller: Caller, ctx: Context
) -> model.UpdateConfigurationSetReputationMetricsEnabledResponse:
    await change_set(
        req.configuration_set_name,
        caller,
        ctx,
        lambda found: msgspec.structs.replace(found, reputation_metrics=req.enabled),
    )
    return model.UpdateConfigurationSetReputationMetricsEnabledResponse()


async def update_configuration_set_sending_enabled(
    req: model.UpdateConfigurationSetSendingEnabledRequest, caller: Caller, ctx: Context
) -> model.UpdateConfigurationSetSendingEnabledResponse:
    now_ms = ctx.clock.now_ms()
    await change_set(
        req.configuration_set_name, caller, ctx, lambda found: domain.with_sending_enabled(found, req.enabled, now_ms)
    )
    return model.UpdateConfigurationSetSendingEnabledResponse()
