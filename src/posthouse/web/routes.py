"""The admin API as one table: what is served, what is described, and how its parameters are read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from posthouse.web import (
    admin_destinations,
    admin_events,
    admin_inbound,
    admin_messages,
    admin_metrics,
    admin_queue,
    admin_receiving,
    admin_records,
    admin_reputation,
    admin_sets,
    admin_suppression,
    admin_templates,
    admin_topics,
    admin_unsubscriptions,
    listing,
    openapi,
    receipt_views,
    reputation_views,
    set_views,
    template_views,
    views,
)
from posthouse.web.call import Call
from posthouse.web.guard import MAX_BODY
from posthouse.web.query import ACCOUNT, Param

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path."""

    method: str
    path: str
    handle: Callable[[Call], Awaitable[Response]]
    summary: str
    params: tuple[Param, ...] = ()
    answer: type | None = None
    """The JSON of success; None where there is another content, or none."""
    media: tuple[str, ...] = ()
    """Other media types of success."""
    status: int = 200
    errors: tuple[int, ...] = ()
    """Statuses besides those every endpoint has."""
    login: bool = True
    body: type | None = None
    """The JSON that is to be sent; None: none."""
    body_media: tuple[str, ...] = ()
    """Other media types of what is to be sent."""
    max_body: int = MAX_BODY


async def describe(call: Call) -> Response:
    return openapi.answer(ADMIN, PREFIX, call.ctx.version)


ADMIN = (
    Endpoint(
        "GET",
        "/messages",
        admin_messages.list_messages,
        "Messages, newest first.",
        admin_messages.LISTING,
        views.MessageList,
    ),
    Endpoint(
        "DELETE",
        "/messages",
        admin_messages.delete_messages,
        "Empties the inbox: every message whose recipients are all in a final state.",
        admin_records.SCOPED,
        views.Deleted,
    ),
    Endpoint(
        "GET",
        "/messages/wait",
        admin_messages.wait_for_message,
        "The newest message that matches, as soon as there is one; 408 when time is over.",
        admin_messages.WAITING,
        views.MessageDetail,
        errors=(408, 503),
    ),
    Endpoint(
        "GET",
        "/messages/{message_id}",
        admin_messages.show_message,
        "One message: envelope, headers, bodies, attachments, recipients, events, timeline.",
        answer=views.MessageDetail,
        errors=(404,),
    ),
    Endpoint(
        "DELETE",
        "/messages/{message_id}",
        admin_messages.delete_message,
        "Deletes one message that is no longer queued.",
        status=204,
        errors=(404, 409),
    ),
    Endpoint(
        "GET",
        "/messages/{message_id}/raw",
        admin_messages.raw_message,
        "The exact bytes that left or came in.",
        media=("message/rfc822",),
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/messages/{message_id}/attachments/{part}",
        admin_messages.attachment,
        "An attachment, decoded.",
        media=("application/octet-stream",),
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/inbound",
        admin_inbound.post_inbound,
        "Lets a mail in as by SMTP, and tells rule by rule what became of it.",
        admin_inbound.ENVELOPE,
        views.InboundTrial,
        errors=(404, 413, 415, 503),
        body=views.ComposedMail,
        body_media=("message/rfc822",),
        max_body=admin_inbound.MAX_MAIL,
    ),
    Endpoint(
        "GET",
        "/events",
        admin_events.list_events,
        "The event log from `after` on; as a stream of server-sent events with Accept: text/event-stream.",
        admin_events.LISTING,
        views.EventList,
        media=("text/event-stream",),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/queue",
        admin_queue.list_queue,
        "Recipients that wait for their next attempt.",
        admin_queue.LISTING,
        views.QueueList,
    ),
    Endpoint(
        "POST",
        "/queue/{message_id}/retry",
        admin_queue.retry_message,
        "Makes the message's queued recipients due now.",
        answer=views.QueueChange,
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/queue/{message_id}/drop",
        admin_queue.drop_message,
        "Takes the message's queued recipients out of the queue for good.",
        answer=views.QueueChange,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/identities",
        admin_records.list_identities,
        "Addresses and domains, how far each is verified, and the records to publish.",
        admin_records.IDENTITIES,
        views.IdentityList,
    ),
    Endpoint(
        "GET",
        "/accounts",
        admin_records.list_accounts,
        "Accounts with their limits.",
        admin_records.SCOPED,
        views.AccountList,
    ),
    Endpoint(
        "GET",
        "/credentials",
        admin_records.list_credentials,
        "Access keys, without their secrets.",
        (ACCOUNT,),
        views.CredentialList,
    ),
    Endpoint(
        "GET",
        "/stats",
        admin_records.show_statistics,
        "Sending statistics of one account in one region.",
        admin_records.STATS,
        views.Statistics,
    ),
    Endpoint(
        "GET",
        "/configuration-sets",
        admin_sets.list_sets,
        "Configuration sets with their settings and event destinations.",
        listing.LISTING,
        set_views.ConfigurationSetList,
    ),
    Endpoint(
        "GET",
        "/configuration-sets/{name}",
        admin_sets.show_set,
        "One configuration set, its statistics and its reputation.",
        listing.SCOPED,
        set_views.ConfigurationSetDetail,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/reputation",
        admin_reputation.list_reputation,
        "Bounce and complaint rates beside the lines of SES.",
        listing.SCOPED,
        reputation_views.ReputationList,
    ),
    Endpoint(
        "GET",
        "/templates",
        admin_templates.list_templates,
        "E-mail templates.",
        listing.LISTING,
        template_views.TemplateList,
    ),
    Endpoint(
        "POST",
        "/templates/{name}/preview",
        admin_templates.preview_template,
        "What a template makes of some data; nothing is sent.",
        listing.SCOPED,
        template_views.Preview,
        body=admin_templates.PreviewRequest,
        errors=(404, 413, 415),
    ),
    Endpoint(
        "GET",
        "/templates/{name}",
        admin_templates.show_template,
        "One template with its parts.",
        listing.SCOPED,
        template_views.TemplateDetail,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/receipt-rule-sets",
        admin_receiving.list_rule_sets,
        "Receipt rule sets, and which of them are active.",
        listing.LISTING,
        receipt_views.ReceiptRuleSetList,
    ),
    Endpoint(
        "GET",
        "/receipt-rule-sets/{name}",
        admin_receiving.show_rule_set,
        "One receipt rule set with its rules in order.",
        listing.SCOPED,
        receipt_views.ReceiptRuleSetDetail,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/receipt-filters",
        admin_receiving.list_filters,
        "IP address filters.",
        listing.LISTING,
        receipt_views.ReceiptFilterList,
    ),
    Endpoint(
        "GET",
        "/receipt-plan",
        admin_receiving.show_plan,
        "What the active receipt rules would do with a mail; nothing is done.",
        admin_receiving.PLANNING,
        receipt_views.ReceiptPlan,
    ),
    Endpoint(
        "GET",
        "/suppression",
        admin_suppression.list_suppressed,
        "Addresses that the account's mail is no longer sent to.",
        admin_suppression.LISTING,
        views.SuppressionList,
    ),
    Endpoint(
        "PUT",
        "/suppression/{address}",
        admin_suppression.put_suppressed,
        "Puts an address on the suppression list.",
        admin_suppression.ADDING,
        views.SuppressedAddress,
    ),
    Endpoint(
        "DELETE",
        "/suppression/{address}",
        admin_suppression.remove_suppressed,
        "Takes an address off the suppression list.",
        admin_suppression.SCOPED,
        status=204,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/metrics",
        admin_metrics.list_metrics,
        "Series of the embedded stand-in for CloudWatch, in the order they came to be.",
        admin_metrics.LISTING,
        views.MetricList,
    ),
    Endpoint(
        "GET",
        "/unsubscriptions/{list}",
        admin_unsubscriptions.list_unsubscribed,
        "Addresses that have left a mailing list.",
        admin_unsubscriptions.LISTING,
        views.UnsubscriptionList,
        errors=(404,),
    ),
    Endpoint(
        "DELETE",
        "/unsubscriptions/{list}/{address}",
        admin_unsubscriptions.remove_unsubscription,
        "Takes an address into a mailing list again.",
        admin_unsubscriptions.REMOVING,
        status=204,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/topics",
        admin_topics.list_topics,
        "Topics of the embedded stand-in for SNS.",
        admin_topics.LISTING,
        views.TopicList,
    ),
    Endpoint(
        "GET",
        "/topics/{arn}/notifications",
        admin_topics.list_notifications,
        "The last notifications that a topic was given, newest first.",
        admin_topics.NOTIFICATIONS,
        views.NotificationList,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/destinations",
        admin_destinations.list_destinations,
        "Whom events are told to, and how far behind each is.",
        admin_destinations.LISTING,
        views.DestinationList,
    ),
    Endpoint(
        "GET",
        "/destinations/{destination}",
        admin_destinations.show_destination,
        "One destination, where it leads and how far behind it is.",
        answer=views.Destination,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/destinations/{destination}/dead-letters",
        admin_destinations.list_dead,
        "Events that were given up for a destination.",
        admin_destinations.DEAD,
        views.DeadLetterList,
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/destinations/{destination}/replay",
        admin_destinations.replay,
        "Tells a destination again of past events, or of its dead letters.",
        admin_destinations.REPLAY,
        views.Replay,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/topics/{arn}/subscriptions",
        admin_topics.list_subscriptions,
        "Subscribers of a topic, and how each does.",
        admin_topics.SUBSCRIPTIONS,
        answer=views.SubscriptionList,
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/topics/{arn}/subscriptions",
        admin_topics.subscribe,
        "Subscribes a URL; one that is not confirmed is sent a SubscriptionConfirmation first.",
        (ACCOUNT,),
        body=views.NewSubscription,
        answer=views.Subscription,
        status=201,
        errors=(413, 415),
    ),
    Endpoint(
        "DELETE",
        "/topics/{arn}/subscriptions/{subscription}",
        admin_topics.unsubscribe,
        "Ends a subscription, named by its ARN or by the last part of it; what is on its way to it goes.",
        status=204,
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/topics/{arn}/dead-letters",
        admin_topics.list_dead_letters,
        "The last deliveries that were given up, newest first.",
        admin_topics.NOTIFICATIONS,
        answer=views.UndeliveredList,
        errors=(404,),
    ),
    Endpoint("GET", "/openapi.json", describe, "This description."),
)
