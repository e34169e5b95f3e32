"""/api/v1/topics: the embedded stand-in's topics, and what was published to each."""

from starlette.responses import Response

from posthouse.ports.topics import KeptNotification, Topic
from posthouse.web import views
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


async def list_topics(call: Call) -> Response:
    limit = call.query["limit"]
    found = await call.ctx.stores.topics.page(_account(call), call.query["after"], limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return json_answer(
        views.TopicList(
            topics=[topic_view(each) for each in found[:limit]], next=f"{last.account} {last.arn}" if last else None
        )
    )


async def list_notifications(call: Call) -> Response:
    limit = call.query["limit"]
    arn = call.request.path_params["arn"]
    # PostgreSQL has no NUL in its texts, and no ARN has one either.
    found = None
    if "\0" not in arn and len(arn) < 1000:
        found = await call.ctx.stores.topics.notifications(_account(call), arn, call.query["before"], limit + 1)
    if found is None:
        raise Problem(404, "There is no such topic.")
    return json_answer(
        views.NotificationList(
            notifications=[notification_view(each) for each in found[:limit]],
            next=found[limit - 1].seq if len(found) > limit else None,
        )
    )


def _account(call: Call) -> str | None:
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
