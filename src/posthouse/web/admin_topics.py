"""/api/v1/topics: the embedded stand-in's topics, what was published to each, and who is told."""

from collections.abc import Sequence

from starlette.responses import Response

from posthouse.model.errors import InvalidParameterValue
from posthouse.ports.subscriptions import DeadLetter, KeptSubscription
from posthouse.ports.topics import KeptNotification, Topic
from posthouse.web import bodies, views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.problems import Problem
from posthouse.web.query import ACCOUNT, Param, iso, number, text

LISTING = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    ACCOUNT,
)
NOTIFICATIONS = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("before", number(1, 10**15), "`next` of the page before."),
    ACCOUNT,
)
SUBSCRIPTIONS = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    ACCOUNT,
)


async def list_topics(call: Call) -> Response:
    limit = call.query["limit"]
    found = await call.ctx.stores.topics.page(account_of(call), call.query["after"], limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return json_answer(
        views.TopicList(
            topics=[topic_view(each) for each in found[:limit]], next=f"{last.account} {last.arn}" if last else None
        )
    )


async def list_notifications(call: Call) -> Response:
    limit = call.query["limit"]
    found = await _notifications(call, call.query["before"], limit + 1)
    return json_answer(
        views.NotificationList(
            notifications=[notification_view(each) for each in found[:limit]],
            next=found[limit - 1].seq if len(found) > limit else None,
        )
    )


async def _notifications(call: Call, before: int | None, limit: int) -> Sequence[KeptNotification]:
    """Of the topic that the path names. Raises Problem (404)."""
    arn = _arn(call)
    found = await call.ctx.stores.topics.notifications(account_of(call), arn, before, limit) if arn else None
    if found is None:
        raise Problem(404, "There is no such topic.")
    return found


def _arn(call: Call, name: str = "arn") -> str:
    """What the path names; empty for what no store could know."""
    arn: str = call.request.path_params[name]
    # PostgreSQL has no NUL in its texts, and no ARN has one either.
    return "" if "\0" in arn or len(arn) >= 1000 else arn


async def list_subscriptions(call: Call) -> Response:
    limit = call.query["limit"]
    await _notifications(call, None, 1)
    found = await call.ctx.stores.subscriptions.page(account_of(call), _arn(call), call.query["after"], limit + 1)
    return json_answer(
        views.SubscriptionList(
            subscriptions=[subscription_view(each, call.ctx.clock.now_ms()) for each in found[:limit]],
            next=found[limit - 1].subscription.arn if len(found) > limit else None,
        )
    )


async def subscribe(call: Call) -> Response:
    return json_answer(await subscribe_to(call, _arn(call), await bodies.read(call, views.NewSubscription)), 201)


async def subscribe_to(call: Call, arn: str, asked: views.NewSubscription) -> views.Subscription:
    """Raises Problem (400, 404)."""
    account = account_of(call) or call.ctx.default_scope.account
    try:
        made = await call.ctx.subscribing.subscribe(
            account, arn, asked.endpoint, raw=asked.raw, confirmed=asked.confirmed
        )
    except InvalidParameterValue as refused:
        raise Problem(400, refused.message) from None
    kept = await call.ctx.stores.subscriptions.find(made.arn)
    if kept is None:
        raise Problem(404, "The subscription was ended while it was being made.")
    return subscription_view(kept, call.ctx.clock.now_ms())


async def unsubscribe(call: Call) -> Response:
    topic_arn, name = _arn(call), _arn(call, "subscription")
    arn = name if name.startswith(f"{topic_arn}:") else f"{topic_arn}:{name}"
    if not await call.ctx.subscribing.unsubscribe(account_of(call), arn):
        raise Problem(404, "There is no such subscription.")
    return Response(status_code=204)


async def list_dead_letters(call: Call) -> Response:
    limit = call.query["limit"]
    await _notifications(call, None, 1)
    before = call.query["before"]
    found = await call.ctx.stores.subscriptions.dead_letters(account_of(call), _arn(call), before, limit + 1)
    return json_answer(
        views.UndeliveredList(
            dead_letters=[dead_letter_view(each) for each in found[:limit]],
            next=found[limit - 1].seq if len(found) > limit else None,
        )
    )


def subscription_view(kept: KeptSubscription, now_ms: int) -> views.Subscription:
    subscription, health = kept.subscription, kept.health
    return views.Subscription(
        arn=subscription.arn,
        topic_arn=subscription.topic_arn,
        account=subscription.account,
        protocol=subscription.endpoint.protocol,
        endpoint=subscription.endpoint.url,
        has_login=bool(subscription.endpoint.login),
        raw=subscription.raw,
        confirmed=subscription.confirmed,
        created_at=iso(subscription.created_ms),
        waiting=kept.waiting,
        failures=health.failures,
        last_failure=health.last_failure,
        last_failure_at=iso(health.last_failure_ms) if health.last_failure_ms else None,
        paused_until=iso(health.resume_ms) if health.failures and health.resume_ms > now_ms else None,
    )


def dead_letter_view(letter: DeadLetter) -> views.Undelivered:
    given = letter.notification
    return views.Undelivered(
        seq=letter.seq,
        account=letter.account,
        subscription_arn=letter.subscription_arn,
        endpoint=letter.endpoint,
        type=letter.type.value,
        message_id=given.message_id,
        subject=given.subject,
        message=given.message,
        published_at=iso(given.published_ms),
        attempts=letter.attempts,
        reason=letter.reason,
        died_at=iso(letter.died_ms),
    )


def account_of(call: Call) -> str | None:
    """Whose topics; None: everybody's. Raises Problem (403) for somebody else's."""
    scope = call.scope()
    return None if scope is None else scope.account


def topic_view(topic: Topic) -> views.Topic:
    return views.Topic(arn=topic.arn, account=topic.account, created_at=iso(topic.created_ms))


def notification_view(kept: KeptNotification) -> views.Notification:
    given = kept.notification
    return views.Notification(
        seq=kept.seq,
        message_id=given.message_id,
        account=kept.account,
        subject=given.subject,
        message=given.message,
        published_at=iso(given.published_ms),
    )
