"""Names of SNS topics and what a topic takes: plain checks, no deeds.

Source: Amazon SNS API reference, CreateTopic (names) and Publish (Subject, Message).
"""

import re
from typing import NamedTuple

MAX_MESSAGE = 262_144
"""Octets of UTF-8 (256 KiB)."""

_ARN = re.compile(r"arn:(aws[a-z-]{0,30}):sns:([a-z]{2}[a-z0-9-]{1,30}):([0-9]{12}):([A-Za-z0-9_-]{1,256})\Z")
# "ASCII text that begins with a letter, number, or punctuation mark; no line breaks or control characters; less than
# 100 characters long" - the service itself takes one hundred.
_SUBJECT = re.compile(r"[!-~][ -~]{0,99}\Z")

# Neither UTF-8 nor XML has a place for these.
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")


class TopicArn(NamedTuple):
    """The parts of a standard topic's ARN."""

    partition: str
    region: str
    account: str
    name: str


def parse_topic_arn(text: str) -> TopicArn | None:
    """None for anything that names no standard topic; FIFO topics end in ``.fifo``, and SES has no use for them."""
    match = _ARN.match(text)
    return TopicArn(*match.groups()) if match else None


def why_not_publishable(subject: str | None, message: str) -> str:
    """What SNS would say against it, in SNS's words; empty where there is nothing to say."""
    if subject is not None and not _SUBJECT.match(subject):
        return "Invalid parameter: Subject"
    if not message:
        return "Invalid parameter: Empty message"
    if len(message) > MAX_MESSAGE:
        return "Invalid parameter: Message too long"
    if _UNSENDABLE.search(message):
        return "Invalid parameter: Message"
    return "Invalid parameter: Message too long" if len(message.encode()) > MAX_MESSAGE else ""
