"""May this message be sent? The rules of acceptance, in SES's order and words.

Source: API reference of SendEmail and SendRawEmail, SES developer guide ("Amazon SES API errors"), texts observed on
the live service. Facts come as arguments; quota and rate are domain/quotas.py's, since they are charged in the
transaction that stores the message.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from posthouse.domain.accounts import Account
from posthouse.domain.addresses import Mailbox
from posthouse.domain.identities import Identity, candidates, key_of
from posthouse.domain.messages import Draft
from posthouse.domain.quotas import Refusal, SendingLimits, admit
from posthouse.model.errors import InvalidParameterValue, Throttling
from posthouse.model.generated import (
    AccountSendingPausedException,
    MailFromDomainNotVerifiedException,
    MessageRejected,
)

MAX_RECIPIENTS = 50
MAX_MESSAGE_BYTES = 10 * 1024 * 1024
_SHOWN = 10
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_recipient_count(count: int) -> None:
    """At least one and at most 50, To, Cc and Bcc together."""
    if count == 0:
        raise InvalidParameterValue("There are no recipients specified.")
    if count > MAX_RECIPIENTS:
        raise InvalidParameterValue(f"Recipient count exceeds {MAX_RECIPIENTS}.")


def check_size(size: int) -> None:
    if size > MAX_MESSAGE_BYTES:
        raise InvalidParameterValue(f"Message length is more than {MAX_MESSAGE_BYTES} bytes long: '{size}'.")


def check_drafted(draft: Draft) -> None:
    """There is a body; and the subject is one line: it becomes a header field."""
    if draft.text is None and draft.html is None:
        # Our text: SES's is not known (SES reference 11.4).
        raise InvalidParameterValue("The message body must be specified.")
    if _CONTROL.search(draft.subject.data):
        raise InvalidParameterValue("Subject contains control characters")


def check_account(account: Account) -> None:
    """The account's own switch, and the operator's."""
    if account.paused:
        raise MessageRejected(
            "Sending paused for this account. For more information, please check the inbox of the email address "
            "associated with your AWS account."
        )
    if not account.sending_enabled:
        raise AccountSendingPausedException("Account sending is disabled.")


def is_verified(address: str, identities: Mapping[str, Identity]) -> bool:
    """True where the address, or a domain above it, is a verified identity."""
    return any(name in identities and identities[name].verified for name in map(key_of, candidates(address)))


def refuse_unverified(unverified: Sequence[Mailbox], region: str) -> None:
    """Raises MessageRejected that names, as they were written, all that no verified identity covers, if any."""
    if unverified:
        failed = list(dict.fromkeys(mailbox.text for mailbox in unverified))
        shown = ", ".join(failed[:_SHOWN]) + ("..." if len(failed) > _SHOWN else "")
        raise MessageRejected(
            "Email address is not verified. The following identities failed the check in region "
            f"{region.upper()}: {shown}"
        )


def refuse_mail_from(sent_last_24_hours: int, limits: SendingLimits) -> NoReturn:
    """Refuses mail whose MAIL FROM domain is broken (BehaviorOnMXFailure RejectMessage); a used-up daily quota is told
    first, as in the order of SES's checks."""
    if admit(sent_last_24_hours, None, limits, 1, 0) is Refusal.DAILY:
        raise Throttling(Refusal.DAILY.value)
    raise MailFromDomainNotVerifiedException(
        "MAIL FROM domain not verified: DNS setup for MAIL FROM domain is invalid."
    )
