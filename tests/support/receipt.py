"""What receipt rules act on, made of dictionaries; each can be told to refuse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from posthouse.ports.data_keys import DataKey, DataKeyOutcome
from posthouse.ports.functions import Answered, CallOutcome, CheckOutcome, MayBeCalled
from posthouse.ports.mail_stores import Stored, StoreOutcome
from posthouse.ports.objects import PutOutcome, Taken
from posthouse.ports.receipt import ReceiptPorts
from posthouse.ports.topics import Published, PublishOutcome


@dataclass
class MemoryObjects:
    """Every bucket exists, unless it is in `refusals`."""

    refusals: dict[str, PutOutcome] = field(default_factory=dict)
    written: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """By bucket and key."""
    metadata: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    async def put(
        self, account: str, bucket: str, key: str, content: bytes, metadata: Mapping[str, str], role: str
    ) -> PutOutcome:
        if refusal := self.refusals.get(bucket):
            return refusal
        self.written[bucket, key] = content
        self.metadata[bucket, key] = dict(metadata)
        return Taken()

    async def close(self) -> None: ...


@dataclass
class MemoryFunctions:
    """Every function exists, and answers with what is in `answers`."""

    refusals: dict[str, CheckOutcome] = field(default_factory=dict)
    answers: dict[str, CallOutcome] = field(default_factory=dict)
    called: list[tuple[str, bytes, bool]] = field(default_factory=list)
    """(ARN, event, waited for), in order."""

    async def check(self, account: str, function_arn: str) -> CheckOutcome:
        return self.refusals.get(function_arn, MayBeCalled())

    async def call(self, account: str, function_arn: str, event: bytes, wait: bool) -> CallOutcome:
        self.called.append((function_arn, event, wait))
        return self.answers.get(function_arn, Answered(b""))

    async def close(self) -> None: ...


@dataclass
class MemoryDataKeys:
    """Data keys that are all the same."""

    refusals: dict[str, DataKeyOutcome] = field(default_factory=dict)

    async def generate(self, account: str, key_arn: str, context: Mapping[str, str], role: str) -> DataKeyOutcome:
        return self.refusals.get(key_arn, DataKey(b"k" * 32, f"sealed by {key_arn}".encode()))

    async def close(self) -> None: ...


@dataclass
class MemoryMailStore:
    """Everybody has a mailbox, unless he is in `refusals`."""

    refusals: dict[str, StoreOutcome] = field(default_factory=dict)
    stored: list[tuple[str, bytes]] = field(default_factory=list)
    """(recipient, content), in order."""

    async def deliver(
        self, message_id: str, mail_from: str, recipients: Sequence[str], content: bytes
    ) -> Mapping[str, StoreOutcome]:
        outcomes = {recipient: self.refusals.get(recipient, Stored()) for recipient in recipients}
        self.stored += [(recipient, content) for recipient, outcome in outcomes.items() if outcome == Stored()]
        return outcomes

    async def close(self) -> None: ...


@dataclass
class MemoryTopics:
    """Every topic exists, unless it is in `refusals`."""

    refusals: dict[str, PublishOutcome] = field(default_factory=dict)
    published: list[tuple[str, str | None, str]] = field(default_factory=list)
    """(ARN, subject, message), in order."""

    async def publish(self, account: str, arn: str, subject: str | None, message: str) -> PublishOutcome:
        if refusal := self.refusals.get(arn):
            return refusal
        self.published.append((arn, subject, message))
        return Published(f"m{len(self.published)}")

    async def close(self) -> None: ...


@dataclass
class MemoryReceipt:
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    functions: MemoryFunctions = field(default_factory=MemoryFunctions)
    data_keys: MemoryDataKeys = field(default_factory=MemoryDataKeys)

    @property
    def ports(self) -> ReceiptPorts:
        return ReceiptPorts(self.objects, self.functions, self.data_keys)
