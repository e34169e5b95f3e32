"""Mail that somebody tries out: it comes in as by SMTP, only by another way."""

from dataclasses import dataclass, replace

from posthouse.domain.messages import MessageFacts
from posthouse.receiving.accept import InboundEnvelope, ReceivingContext, receive_all, refusal
from posthouse.wire.smtp_reply import Reply


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the door said of each recipient, and what it kept."""

    refused: dict[str, Reply]
    messages: list[MessageFacts]
    """One for each account and region that took it, and for each message that it reports about."""


async def deliver(
    envelope: InboundEnvelope, content: bytes, ctx: ReceivingContext, account: str | None = None
) -> Delivered:
    """Each recipient is answered as at RCPT; for those that are taken the mail is durable when this returns. `account`:
    the one whose mail it may become, where it may not become everybody's.

    Raises NoLongerWanted where what was taken a moment ago would be refused now.
    """
    tls = bool(envelope.tls)
    answers = {
        recipient: await refusal(recipient, envelope.client_ip, tls, ctx, account)
        for recipient in dict.fromkeys(envelope.recipients)
    }
    taken = tuple(recipient for recipient, refused in answers.items() if refused is None)
    messages = await receive_all(replace(envelope, recipients=taken), content, ctx, account) if taken else []
    return Delivered({recipient: refused for recipient, refused in answers.items() if refused is not None}, messages)
