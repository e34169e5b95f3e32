"""IP address filters. Source: API reference, the operations named here; texts as probed on the live service."""

from posthouse.domain.receipt_filters import MAX_FILTERS, Policy, ReceiptFilter, check_filter, check_new_filter
from posthouse.domain.receipt_rules import is_name
from posthouse.domain.scope import Caller
from posthouse.model import generated as api
from posthouse.model.generated import (
    CreateReceiptFilterRequest,
    CreateReceiptFilterResponse,
    DeleteReceiptFilterRequest,
    DeleteReceiptFilterResponse,
    ListReceiptFiltersRequest,
    ListReceiptFiltersResponse,
)
from posthouse.operations.context import Context


async def create_receipt_filter(
    req: CreateReceiptFilterRequest, caller: Caller, ctx: Context
) -> CreateReceiptFilterResponse:
    name, wanted = req.filter.name, req.filter.ip_filter
    check_filter(name, wanted.cidr)
    async with ctx.stores.records.transaction() as tx:
        exists = await tx.receipt_filters.get(caller.scope, name) is not None
        check_new_filter(name, exists, await tx.receipt_filters.count(caller.scope))
        await tx.receipt_filters.put(caller.scope, name, ReceiptFilter(policy=Policy(wanted.policy), cidr=wanted.cidr))
    return CreateReceiptFilterResponse()


async def delete_receipt_filter(
    req: DeleteReceiptFilterRequest, caller: Caller, ctx: Context
) -> DeleteReceiptFilterResponse:
    # What could not be the name of a filter is as absent as any other, and deleted as well (probed).
    if is_name(req.filter_name):
        async with ctx.stores.records.transaction() as tx:
            await tx.receipt_filters.delete(caller.scope, req.filter_name)
    return DeleteReceiptFilterResponse()


async def list_receipt_filters(
    req: ListReceiptFiltersRequest, caller: Caller, ctx: Context
) -> ListReceiptFiltersResponse:
    """All of them: this operation has no pages."""
    async with ctx.stores.records.reading() as reading:
        found = await reading.receipt_filters.page(caller.scope, "", MAX_FILTERS)
    return ListReceiptFiltersResponse(
        filters=tuple(
            api.ReceiptFilter(name=name, ip_filter=api.ReceiptIpFilter(policy=kept.policy, cidr=kept.cidr))
            for name, kept in found
        )
    )
