"""Names of Firehose streams: plain checks, no deeds. Source: Amazon Data Firehose API reference."""

import re
from typing import NamedTuple

_ARN = re.compile(
    r"arn:(aws[a-z-]{0,30}):firehose:([a-z]{2}[a-z0-9-]{1,30}):([0-9]{12}):deliverystream/([A-Za-z0-9_.-]{1,64})\Z"
)


class StreamArn(NamedTuple):
    partition: str
    region: str
    account: str
    name: str


def parse_stream_arn(text: str) -> StreamArn | None:
    """None for what is none, and for names that no directory may have."""
    match = _ARN.match(text)
    return StreamArn(*match.groups()) if match and match[4] not in (".", "..") else None
