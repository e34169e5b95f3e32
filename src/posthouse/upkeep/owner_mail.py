"""Mail to the owner of the installation about what became of an account's identities (`accounts.owner_email`)."""

import logging

from posthouse.domain.identity_news import News, subject, text
from posthouse.domain.messages import Draft, Text
from posthouse.domain.scope import Caller, Scope
from posthouse.mail.outgoing import date_value
from posthouse.ports.stores import StoreUnavailable
from posthouse.submission.context import SubmissionContext
from posthouse.submission.system_mail import send_system_mail

log = logging.getLogger("posthouse.upkeep")

OWNER_MAIL = "OwnerNotice"
"""What readers see it as."""


class OwnerMail:
    def __init__(self, to: str, service_domain: str, submission: SubmissionContext) -> None:
        self._to, self._service_domain, self._submission = to, service_domain, submission

    async def tell(self, scope: Scope, found: News) -> None:
        """What cannot be kept is lost but for the log: the change is made already, by the one who tells of it."""
        draft = Draft(
            source=f"Posthouse <no-reply@{self._service_domain}>",
            to=(self._to,),
            subject=Text(subject(found, scope.region)),
            text=Text(text(found, scope.account, scope.region, date_value(found.until_ms))),
        )
        try:
            await send_system_mail(draft, OWNER_MAIL, Caller(scope, "", ""), self._submission)
        except StoreUnavailable as error:
            log.warning("nobody is mailed %r: %s", draft.subject.data, error)
