"""IP address filters through the operations."""

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.receipt_filters import MAX_FILTERS, Policy, ReceiptFilter
from posthouse.domain.scope import Caller
from posthouse.model.errors import ServiceError


def a_filter(name: str = "office", policy: str = "Allow", cidr: str = "192.0.2.1/24") -> dict[str, str]:
    return {"Filter.Name": name, "Filter.IpFilter.Policy": policy, "Filter.IpFilter.Cidr": cidr}


async def refused(ses: Ses, **given: str) -> tuple[str, str, object]:
    with pytest.raises(ServiceError) as error:
        await ses.call("CreateReceiptFilter", **given)
    return error.value.code, error.value.message, error.value.members


async def listed(ses: Ses, caller: Caller = Callers.ANN) -> list[tuple[str, str, str]]:
    found = (await ses.call("ListReceiptFilters", caller)).filters
    return [(each.name, each.ip_filter.policy, each.ip_filter.cidr) for each in found]


async def test_filters_are_made_listed_and_deleted() -> None:
    async with open_ses() as ses:
        assert await listed(ses) == []
        await ses.call("CreateReceiptFilter", **a_filter())
        await ses.call("CreateReceiptFilter", **a_filter("all", "Block", "::/0"))
        assert await listed(ses) == [("all", "Block", "::/0"), ("office", "Allow", "192.0.2.1/24")]
        assert await refused(ses, **a_filter()) == (
            "AlreadyExists", "Filter already exists: office", {"Name": "office"},
        )  # fmt: skip
        for caller in (Callers.BOB, Callers.ANN_ELSEWHERE):
            assert await listed(ses, caller) == []
            await ses.call("DeleteReceiptFilter", caller, FilterName="office")
        for name in ("office", "office", "no name", "x" * 500, "a\0b", "é"):
            await ses.call("DeleteReceiptFilter", FilterName=name)
        assert [name for name, *_ in await listed(ses)] == ["all"]


async def test_filters_that_cannot_be_made() -> None:
    async with open_ses() as ses:
        for given, message in (
            (a_filter(""), "filterName must not be empty"),
            (a_filter("a b"), "Not a valid filterName: a b"),
            (a_filter(cidr="[::1]"), "Invalid CIDR block: [::1]"),
            (a_filter(cidr=""), "Invalid CIDR block: "),
        ):
            assert await refused(ses, **given) == ("InvalidParameterValue", message, {})
        code, message, _ = await refused(ses, **a_filter(policy="Maybe"))
        assert (code, message) == (
            "ValidationError",
            "1 validation error detected: Value at 'filter.ipFilter.policy' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Allow, Block]",
        )
        assert await listed(ses) == []


async def test_a_hundred_filters() -> None:
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            for number in range(MAX_FILTERS - 1):
                kept = ReceiptFilter(policy=Policy.BLOCK, cidr=f"10.0.0.{number}")
                await tx.receipt_filters.put(Callers.ANN.scope, f"f{number}", kept)
        await ses.call("CreateReceiptFilter", **a_filter())
        assert await refused(ses, **a_filter("more")) == ("LimitExceeded", "Too many filters", {})
        assert len(await listed(ses)) == MAX_FILTERS
