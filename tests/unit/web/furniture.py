"""One of each thing that an account may set up, under one name."""

from tests.unit.web.conftest import HOME, NOW_MS, House

from posthouse.domain.configuration_sets import ConfigurationSet, Dimension, EventDestination
from posthouse.domain.events import Event, EventType
from posthouse.domain.receipt_filters import Policy, ReceiptFilter
from posthouse.domain.receipt_rules import ACTIVE, S3, ActiveRuleSet, AddHeader, ReceiptRule, RuleSet, Stop
from posthouse.domain.scope import Scope
from posthouse.domain.templates import Template, TemplateContent, content_key

TOPIC = f"arn:aws:sns:us-east-1:{HOME.account}:mail"


async def furnish(house: House, name: str, scope: Scope = HOME, text: str = "word") -> None:
    """`text` stands wherever an account may put words of its own."""
    content = TemplateContent(subject=f"Hi {{{{who}}}} {text}", text=text, html=f"<p>{{{{who}}}}</p>{text}")
    async with house.stores.records.transaction() as tx:
        await tx.configuration_sets.put(scope, name, configuration_set(text))
        await tx.templates.put(scope, name, Template(created_ms=NOW_MS, content=content_key(name, content)))
        await tx.template_contents.put(scope, content_key(name, content), content)
        await tx.receipt_rule_sets.put(scope, name, rule_set(text))
        await tx.active_rule_sets.put(scope, ACTIVE, ActiveRuleSet(name=name))
        await tx.receipt_filters.put(scope, name, ReceiptFilter(policy=Policy.BLOCK, cidr="192.0.2.0/24"))


def configuration_set(text: str) -> ConfigurationSet:
    dimension = Dimension(name=text, source="messageTag", default=text)
    return ConfigurationSet(
        created_ms=NOW_MS,
        reputation_metrics=True,
        redirect_domain=text,
        destinations=(
            EventDestination(name="topic", enabled=True, event_types=("send", "bounce"), sns_topic=TOPIC),
            EventDestination(name=text, event_types=("click",), dimensions=(dimension,)),
        ),
    )


def rule_set(text: str) -> RuleSet:
    return RuleSet(
        created_ms=NOW_MS,
        rules=(
            ReceiptRule(name="off", recipients=("shop.example",), actions=(Stop(),)),
            ReceiptRule(
                name="keep",
                enabled=True,
                scan=True,
                recipients=("shop.example",),
                actions=(AddHeader(name="X-Kept", value=text), S3(bucket="mail", prefix=text, topic=TOPIC)),
            ),
            ReceiptRule(name="secret", enabled=True, tls_required=True, recipients=("vault@shop.example",)),
            ReceiptRule(name="others", enabled=True, recipients=("other.example",)),
        ),
    )


async def happened(
    house: House, kind: EventType, recipients: int, scope: Scope = HOME, set_name: str = "", at_ms: int = NOW_MS
) -> None:
    """So many recipients in the statistics."""
    event = Event(
        scope=scope,
        message_id="m",
        type=kind,
        at_ms=at_ms,
        recipients=tuple(f"r{number}@x.example" for number in range(recipients)),
        detail={"kind": {"type": "Permanent", "subtype": "General"}} if kind is EventType.BOUNCE else {},
        configuration_set=set_name,
    )
    await house.stores.events.append([event])
