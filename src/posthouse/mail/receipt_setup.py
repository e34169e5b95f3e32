"""What SES writes and publishes to find out whether it may, when a receipt rule is made or changed.

Source: SES reference 24.5 and its payload; a mail of these header fields lies in every bucket, and came to every topic,
that a rule was ever made for, and whoever reads his mail from there knows it by its id, subject or sender. The words of
its body are ours.
"""

from datetime import UTC, datetime

import msgspec

from posthouse.domain.receipt_rules import S3, Action, AddHeader, Bounce, Connect, Lambda, Sns, Stop, WorkMail
from posthouse.mail.outgoing import date_value

MESSAGE_ID = "AMAZON_SES_SETUP_NOTIFICATION"
SUBJECT = "Amazon SES Email Receipt Notification"
"""Of every notification about mail that came in."""
_FROM = "Amazon Web Services <no-reply-aws@amazon.com>"
_RECIPIENT = "recipient@example.com"
_PASS = {"status": "PASS"}
_ENCODINGS = {"UTF-8": "UTF8", "Base64": "BASE64"}


def setup_mail(where: str, now_ms: int) -> str:
    """`where`: ``S3 bucket`` or ``SNS topic``."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in _fields(now_ms))
    return (
        f"{fields}\r\n"
        "Hello,\r\n"
        "\r\n"
        f"A receipt rule is being set up that delivers mail to this {where}. This message shows that it can.\r\n"
        "\r\n"
        "The rule is in place only if all of its other actions could be set up too.\r\n"
    )


def _fields(now_ms: int) -> list[tuple[str, str]]:
    return [
        ("Date", date_value(now_ms)),
        ("To", _RECIPIENT),
        ("From", _FROM),
        ("Subject", "Amazon SES Setup Notification"),
        ("Message-ID", MESSAGE_ID),
    ]


def setup_notification(action: Action, now_ms: int) -> str:
    """What the topic of an action is given, in the form of every notification about received mail."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = dict(_fields(now_ms))
    told = {
        "notificationType": "Received",
        "mail": {
            "timestamp": at,
            "source": "aws@amazon.com",
            "messageId": MESSAGE_ID,
            "destination": [_RECIPIENT],
            "headersTruncated": False,
            "headers": [{"name": name, "value": value} for name, value in fields.items()],
            "commonHeaders": {
                "from": [fields["From"]],
                "date": fields["Date"],
                "to": [fields["To"]],
                "messageId": MESSAGE_ID,
                "subject": fields["Subject"],
            },
        },
        "receipt": {
            "timestamp": at,
            "processingTimeMillis": 0,
            "recipients": [_RECIPIENT],
            "spamVerdict": _PASS,
            "virusVerdict": _PASS,
            "spfVerdict": _PASS,
            "dkimVerdict": _PASS,
            "dmarcVerdict": _PASS,
            "action": action_told(action, MESSAGE_ID),
        },
    }
    if isinstance(action, Sns):
        told["content"] = setup_mail("SNS topic", now_ms)
    return msgspec.json.encode(told).decode()


def action_told(action: Action, message_id: str) -> dict[str, str]:
    """An action as ``receipt.action`` of a notification has it (SES reference 26.1)."""
    match action:
        case S3():
            kind, told = "S3", _given(bucketName=action.bucket, objectKeyPrefix=action.prefix)
            told["objectKey"] = action.key(message_id)
        case Sns():
            kind, told = "SNS", {"encoding": _ENCODINGS[action.encoding]}
        case Bounce():
            told = _given(smtpReplyCode=action.reply_code, statusCode=action.status_code)
            kind, told = "Bounce", {**told, "message": action.message, "sender": action.sender}
        case Lambda():
            kind = "Lambda"
            told = {"functionArn": action.function, "invocationType": action.invocation or "Event"}
        case Stop():
            kind, told = "Stop", {}
        case WorkMail():
            kind, told = "WorkMail", {"organizationArn": action.organization}
        case AddHeader() | Connect():
            raise ValueError(f"nobody is told of {type(action).__name__}")
    return {"type": kind, **_given(topicArn=action.topic), **told}


def _given(**members: str) -> dict[str, str]:
    return {name: value for name, value in members.items() if value}
