"""Configuration sets over the API: made, described, listed, deleted, and their options."""

from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.model import generated as model
from posthouse.model.errors import InvalidParameterValue, ServiceError, ValidationError
from posthouse.wire import query

ALL = ("eventDestinations", "trackingOptions", "deliveryOptions", "reputationOptions")


async def create(ses: Ses, *names: str) -> None:
    for name in names:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name=name)


async def describe(ses: Ses, name: str = "news", *wanted: str) -> Any:
    asked = {f"ConfigurationSetAttributeNames__member__{number}": each for number, each in enumerate(wanted, 1)}
    return await ses.call("DescribeConfigurationSet", ConfigurationSetName=name, **asked)


async def refused(ses: Ses, operation: str, **parameters: str) -> tuple[str, str]:
    with pytest.raises(ServiceError) as error:
        await ses.call(operation, **parameters)
    return error.value.code, error.value.message


async def test_a_new_set_has_its_defaults() -> None:
    async with open_ses() as ses:
        await create(ses, "news")
        assert await describe(ses) == model.DescribeConfigurationSetResponse(
            configuration_set=model.ConfigurationSet(name="news")
        )
        assert await describe(ses, "news", *ALL) == model.DescribeConfigurationSetResponse(
            configuration_set=model.ConfigurationSet(name="news"),
            event_destinations=(),
            tracking_options=None,
            delivery_options=model.DeliveryOptions(tls_policy="Optional"),
            reputation_options=model.ReputationOptions(sending_enabled=True, reputation_metrics_enabled=False),
        )


async def test_only_what_is_asked_for_is_described() -> None:
    async with open_ses() as ses:
        await create(ses, "news")
        shown = await describe(ses, "news", "deliveryOptions")
        assert shown.delivery_options is not None
        assert (shown.event_destinations, shown.reputation_options) == (None, None)
        with pytest.raises(ValidationError):
            await describe(ses, "news", "everything")


async def test_creating_refuses_bad_names_and_taken_ones() -> None:
    async with open_ses() as ses:
        await create(ses, "news", "News")
        assert await refused(ses, "CreateConfigurationSet", ConfigurationSet__Name="news") == (
            "ConfigurationSetAlreadyExists",
            "Configuration set <news> already exists.",
        )
        code, _ = await refused(ses, "CreateConfigurationSet", ConfigurationSet__Name="a b")
        assert code == "InvalidConfigurationSet"
        assert await names(ses) == ["News", "news"]


async def test_the_10001st_set_is_refused() -> None:
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            for number in range(10_000):
                await tx.configuration_sets.put(Callers.ANN.scope, f"s{number}", ConfigurationSet(created_ms=0))
        code, _ = await refused(ses, "CreateConfigurationSet", ConfigurationSet__Name="more")
        assert code == "LimitExceeded"
        await ses.call("CreateConfigurationSet", Callers.ANN_ELSEWHERE, ConfigurationSet__Name="more")
        await ses.call("DeleteConfigurationSet", ConfigurationSetName="s7")
        await create(ses, "more")


NAMED = {
    "DeleteConfigurationSet": {},
    "DescribeConfigurationSet": {},
    "DeleteConfigurationSetEventDestination": {"EventDestinationName": "d"},
    "DeleteConfigurationSetTrackingOptions": {},
    "PutConfigurationSetDeliveryOptions": {"DeliveryOptions__TlsPolicy": "Require"},
    "UpdateConfigurationSetReputationMetricsEnabled": {"Enabled": "true"},
    "UpdateConfigurationSetSendingEnabled": {"Enabled": "false"},
    "CreateConfigurationSetTrackingOptions": {"TrackingOptions__CustomRedirectDomain": "shop.example"},
    "UpdateConfigurationSetTrackingOptions": {"TrackingOptions__CustomRedirectDomain": "shop.example"},
    "CreateConfigurationSetEventDestination": {
        "EventDestination__Name": "d",
        "EventDestination__MatchingEventTypes__member__1": "send",
        "EventDestination__SNSDestination__TopicARN": "arn:aws:sns:us-east-1:111111111111:t",
    },
    "UpdateConfigurationSetEventDestination": {
        "EventDestination__Name": "d",
        "EventDestination__MatchingEventTypes__member__1": "send",
        "EventDestination__SNSDestination__TopicARN": "arn:aws:sns:us-east-1:111111111111:t",
    },
}


@pytest.mark.parametrize("operation", sorted(NAMED))
async def test_a_missing_set_is_an_error_everywhere(operation: str) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="shop.example")
        await ses.call("CreateConfigurationSet", Callers.BOB, ConfigurationSet__Name="theirs")
        await ses.call("CreateConfigurationSet", Callers.ANN_ELSEWHERE, ConfigurationSet__Name="theirs")
        for name in ("theirs", "a b", "", "\0", "x" * 70):
            with pytest.raises(ServiceError) as error:
                await ses.call(operation, ConfigurationSetName=name, **NAMED[operation])
            assert error.value.code == "ConfigurationSetDoesNotExist"
            assert error.value.message == f"Configuration set <{name}> does not exist."
            assert error.value.members == {"ConfigurationSetName": name}


async def test_a_deleted_set_is_gone_with_all_it_had() -> None:
    async with open_ses() as ses:
        await create(ses, "news")
        await ses.call("PutConfigurationSetDeliveryOptions", ConfigurationSetName="news", **tls("Require"))
        await ses.call("DeleteConfigurationSet", ConfigurationSetName="news")
        code, _ = await refused(ses, "DeleteConfigurationSet", ConfigurationSetName="news")
        assert code == "ConfigurationSetDoesNotExist"
        await create(ses, "news")
        assert (await describe(ses, "news", *ALL)).delivery_options.tls_policy == "Optional"


# -- lists


async def names(ses: Ses, **parameters: str) -> list[str]:
    return [each.name for each in (await ses.call("ListConfigurationSets", **parameters)).configuration_sets]


async def test_an_account_without_sets_has_an_empty_list() -> None:
    async with open_ses() as ses:
        assert await ses.call("ListConfigurationSets") == model.ListConfigurationSetsResponse(configuration_sets=())


async def test_pages() -> None:
    async with open_ses() as ses:
        await create(ses, *(f"s{number:02}" for number in range(55)))
        assert len(await names(ses)) == 50
        for asked in ("0", "-1", "1001"):
            assert len(await names(ses, MaxItems=asked)) == 50
        assert len(await names(ses, MaxItems="1000")) == 55
        seen: list[str] = []
        token: dict[str, str] = {}
        while len(seen) < 100:
            page = await ses.call("ListConfigurationSets", MaxItems="11", **token)
            seen += [each.name for each in page.configuration_sets]
            if page.next_token is None:
                break
            token = {"NextToken": page.next_token}
        assert seen == [f"s{number:02}" for number in range(55)]


async def test_a_bad_token_gets_no_message() -> None:
    async with open_ses() as ses:
        with pytest.raises(InvalidParameterValue) as error:
            await ses.call("ListConfigurationSets", NextToken="nonsense")
    assert error.value.message == ""
    assert b"<Message>" not in query.render_error(error.value, "id")


# -- options


def tls(policy: str) -> dict[str, str]:
    return {"DeliveryOptions__TlsPolicy": policy}


async def test_delivery_options_are_put_and_cleared() -> None:
    async with open_ses() as ses:
        await create(ses, "news")
        for given, policy in ((tls("Require"), "Require"), ({}, "Optional"), (tls("Require"), "Require")):
            await ses.call("PutConfigurationSetDeliveryOptions", ConfigurationSetName="news", **given)
            assert (await describe(ses, "news", "deliveryOptions")).delivery_options.tls_policy == policy
        await ses.call("PutConfigurationSetDeliveryOptions", ConfigurationSetName="news", DeliveryOptions="")
        assert (await describe(ses, "news", "deliveryOptions")).delivery_options.tls_policy == "Optional"
        assert await refused(ses, "PutConfigurationSetDeliveryOptions", ConfigurationSetName="news", **tls("x")) == (
            "ValidationError",
            "1 validation error detected: Value at 'deliveryOptions.tlsPolicy' failed to satisfy constraint: Member "
            "must satisfy enum value set: [Optional, Require]",
        )


async def test_sending_and_reputation_are_switched_and_a_fresh_start_is_noted() -> None:
    async with open_ses() as ses:
        await create(ses, "news")
        update = "UpdateConfigurationSetReputationMetricsEnabled"
        await ses.call(update, ConfigurationSetName="news", Enabled="true")
        for enabled in ("true", "false"):
            await ses.call("UpdateConfigurationSetSendingEnabled", ConfigurationSetName="news", Enabled=enabled)
        shown = (await describe(ses, "news", "reputationOptions")).reputation_options
        assert shown == model.ReputationOptions(sending_enabled=False, reputation_metrics_enabled=True)
        ses.clock.at_ms += 5000
        await ses.call("UpdateConfigurationSetSendingEnabled", ConfigurationSetName="news", Enabled="true")
        await ses.call(update, ConfigurationSetName="news", Enabled="false")
        shown = (await describe(ses, "news", "reputationOptions")).reputation_options
        assert shown == model.ReputationOptions(
            sending_enabled=True, reputation_metrics_enabled=False, last_fresh_start_ms=ses.clock.at_ms
        )
        assert (await refused(ses, update, ConfigurationSetName="news"))[0] == "ValidationError"


async def test_tracking_options_are_created_changed_and_deleted() -> None:
    async with open_ses() as ses:
        await create(ses, "news")
        await ses.call("VerifyDomainIdentity", Domain="shop.example")

        async def set_options(operation: str, domain: str) -> None:
            given = {"ConfigurationSetName": "news", "TrackingOptions__CustomRedirectDomain": domain}
            await ses.call(operation, **given)

        async def shown() -> str | None:
            options = (await describe(ses, "news", "trackingOptions")).tracking_options
            return options and options.custom_redirect_domain

        with pytest.raises(model.TrackingOptionsDoesNotExistException):
            await set_options("UpdateConfigurationSetTrackingOptions", "shop.example")
        await set_options("CreateConfigurationSetTrackingOptions", "links.shop.example")
        assert await shown() == "links.shop.example"
        with pytest.raises(model.TrackingOptionsAlreadyExistsException):
            await set_options("CreateConfigurationSetTrackingOptions", "shop.example")
        await set_options("UpdateConfigurationSetTrackingOptions", "shop.example")
        assert await shown() == "shop.example"
        await ses.call("DeleteConfigurationSetTrackingOptions", ConfigurationSetName="news")
        assert await shown() is None
        with pytest.raises(model.TrackingOptionsDoesNotExistException):
            await ses.call("DeleteConfigurationSetTrackingOptions", ConfigurationSetName="news")


@pytest.mark.parametrize(
    "operation", ["CreateConfigurationSetTrackingOptions", "UpdateConfigurationSetTrackingOptions"]
)
async def test_a_redirect_domain_is_judged_before_its_set_is_looked_for(operation: str) -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyDomainIdentity", Domain="pending.example")
        for domain, text in (
            ("pending.example", "Domain <pending.example> is not verified under this account."),
            ("x" * 70_000, f"Domain <{'x' * 70_000}> is not verified under this account."),
            ("", "At least one field of TrackingOptions must contain a value."),
        ):
            given = {"ConfigurationSetName": "none", "TrackingOptions__CustomRedirectDomain": domain}
            assert await refused(ses, operation, **given) == ("InvalidTrackingOptions", text)
        code, message = await refused(ses, operation, ConfigurationSetName="none")
        assert (code, "'trackingOptions' failed" in message) == ("ValidationError", True)


async def test_eight_operations_answer_without_a_result() -> None:
    without = {name for name, operation in model.OPERATIONS.items() if operation.result_wrapper is None}
    assert {name for name in without if "ConfigurationSet" in name} == {
        "UpdateConfigurationSetReputationMetricsEnabled",
        "UpdateConfigurationSetSendingEnabled",
    }
