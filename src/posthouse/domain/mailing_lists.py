"""Mail to a list that its readers can leave: what the header X-SES-LIST-MANAGEMENT-OPTIONS says, and who has left.

Source: SES developer guide, "Using subscription management": ``{listName}; topic={topicName}``; whoever leaves a topic
gets no more mail of it, whoever leaves a list gets none of any of its topics. Lists come to be by being named: contact
lists as such are not kept.
"""

import re
from typing import Any

import msgspec

from posthouse.domain.events import Event, EventType
from posthouse.domain.scope import Scope
from posthouse.model.errors import InvalidParameterValue

_NAME = r"[A-Za-z0-9_-]{1,64}"
"""API reference (v2) of CreateContactList and Topic."""
_OPTIONS = re.compile(rf"({_NAME})[ \t]*(?:;[ \t]*topic[ \t]*=[ \t]*({_NAME})[ \t]*)?;?\Z")
MAX_OPTIONS = 400
"""Characters of the header that are looked at."""


class MailingList(msgspec.Struct, frozen=True, omit_defaults=True):
    """The list that a message is for."""

    name: str
    topic: str = ""
    """Empty: the list as a whole."""
    reader: str = ""
    """The one recipient, who can leave by a link in the mail; empty: there are several, and a link would be anybody's
    to follow for anybody."""


class Unsubscription(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has left a list, or one of its topics."""

    name: str
    topic: str
    address: str
    """Lower case."""
    at_ms: int
    message_id: str
    """The mail whose link was followed."""


def read_options(text: str) -> MailingList:
    """Raises InvalidParameterValue: mail that was meant for a list must not leave without a way out of it."""
    found = _OPTIONS.match(text.strip(" \t")) if len(text) <= MAX_OPTIONS else None
    if found is None:
        raise InvalidParameterValue("Invalid value of header 'X-SES-LIST-MANAGEMENT-OPTIONS'.")
    return MailingList(found[1], found[2] or "")


def is_list_name(text: str) -> bool:
    """Of a list or a topic."""
    return re.fullmatch(_NAME, text) is not None


def binding_topics(topic: str) -> tuple[str, str]:
    """Who has left one of these gets no mail of the topic."""
    return "", topic


def left_event(scope: Scope, left: Unsubscription, configuration_set: str, by: str) -> Event:
    """Somebody has left a list. `by`: SES's ``source`` of a subscription event. Detail:

    list    its name
    topic   one topic of it, or empty: all of them
    source  ``UnsubscribeHeader``: a mail program's own button; ``UnsubscribePage``: the button of our page
    """
    detail: dict[str, Any] = {"list": left.name, "topic": left.topic, "source": by}
    return Event(
        scope=scope,
        message_id=left.message_id,
        type=EventType.SUBSCRIPTION,
        at_ms=left.at_ms,
        recipients=(left.address,),
        detail=detail,
        configuration_set=configuration_set,
    )
