"""The submission door's session: who may send, and how its answers look."""

from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest

from posthouse.domain.scope import Caller, Scope
from posthouse.model import errors
from posthouse.model.errors import ServiceError
from posthouse.ports.credentials import Credential
from posthouse.ports.stores import StoreUnavailable
from posthouse.smtp.envelope import Envelope
from posthouse.smtp.failed_logins import FailedLogins
from posthouse.smtp.submission import SubmissionRules, SubmissionSession, submission_offer
from posthouse.wire.smtp_events import Login, Mail, Message, Question, Rcpt
from posthouse.wire.smtp_password import smtp_password
from posthouse.wire.smtp_reply import Reply
from posthouse.wire.smtp_server import ServerProtocol

HOME = Scope("123456789012", "us-east-1")
REGIONS = ("us-east-1", "eu-west-1")
MESSAGE = Message(Mail("a@b.example"), (Rcpt("c@d.example"), Rcpt("e@f.example")), b"Subject: x\r\n\r\n")


@dataclass
class Peer:
    client_ip: str = "192.0.2.7"
    cipher: str = ""


class Keys:
    def __init__(self, *credentials: Credential) -> None:
        self.credentials = {credential.access_key: credential for credential in credentials}

    async def find(self, access_key: str) -> Credential | None:
        if access_key == "AKIADOWN":
            raise StoreUnavailable("disk full")
        return self.credentials.get(access_key)


@dataclass
class Submissions:
    error: Exception | None = None
    taken: list[tuple[Caller, str, tuple[str, ...], bytes, Envelope]] = field(default_factory=list)

    async def __call__(
        self, caller: Caller, mail_from: str, rcpt_to: tuple[str, ...], content: bytes, envelope: Envelope
    ) -> str:
        if self.error is not None:
            raise self.error
        self.taken.append((caller, mail_from, rcpt_to, content, envelope))
        return "0100-id"


class Session:
    """The session, with the protocol that would ask it."""

    def __init__(self, session: SubmissionSession, protocol: ServerProtocol) -> None:
        self.session, self.protocol = session, protocol

    def answer(self, question: Question) -> Reply | Awaitable[Reply]:
        return self.session.answer(question)


def session(submissions: Submissions, *, strict: bool, plain_auth: bool = True) -> Session:
    keys = Keys(
        Credential("AKIAKNOWN", "secret", "999988887777"),
        Credential("ASIATEMP", "secret", "999988887777", session_token="token"),
    )
    rules = SubmissionRules(HOME, REGIONS, auth_required=strict)
    protocol = ServerProtocol(submission_offer("mx.example.com", starttls=True, allow_plain_auth=plain_auth))
    return Session(SubmissionSession(protocol, Peer(), rules, keys, submissions, FailedLogins()), protocol)


async def ask(on: Session, question: Question) -> str:
    answer = on.answer(question)
    reply = answer if isinstance(answer, Reply) else await answer
    if isinstance(question, Login) and reply.ok:
        on.protocol.user = question.user  # as the protocol does when it sends the reply
    return str(reply)


async def test_strict_door_wants_a_login_before_mail() -> None:
    assert await ask(session(Submissions(), strict=True), Mail("a@b.example")) == "530 Authentication required"


async def test_door_that_wants_tls_first_says_so() -> None:
    strict = session(Submissions(), strict=True, plain_auth=False)
    assert await ask(strict, Mail("a@b.example")) == "530 Must issue a STARTTLS command first"
    strict.protocol.tls = True
    assert await ask(strict, Mail("a@b.example")) == "530 Authentication required"


async def test_login_from_before_starttls_is_forgotten() -> None:
    strict = session(Submissions(), strict=True)
    await ask(strict, Login("AKIAKNOWN", smtp_password("secret", "us-east-1")))
    assert await ask(strict, Mail("a@b.example")) == "250 Ok"
    strict.protocol.tls_started()
    assert await ask(strict, Mail("a@b.example")) == "530 Authentication required"


async def test_a_store_that_is_away_is_no_verdict_on_the_credentials() -> None:
    assert await ask(session(Submissions(), strict=True), Login("AKIADOWN", "x")) == (
        "454 Temporary authentication failure"
    )


async def test_a_store_that_is_away_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    away = session(Submissions(StoreUnavailable("disk full")), strict=False)
    assert (await ask(away, MESSAGE)).startswith("451 ")
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("the store is unavailable: disk full", None)
    ]


@pytest.mark.parametrize("region", REGIONS)
async def test_password_tells_the_region(region: str) -> None:
    submissions = Submissions()
    strict = session(submissions, strict=True)
    assert await ask(strict, Login("AKIAKNOWN", smtp_password("secret", region))) == "235 Authentication successful."
    assert await ask(strict, Mail("a@b.example")) == "250 Ok"
    assert await ask(strict, Rcpt("c@d.example")) == "250 Ok"
    assert await ask(strict, MESSAGE) == "250 Ok 0100-id"
    caller, mail_from, rcpt_to, content, envelope = submissions.taken[0]
    assert caller == Caller(Scope("999988887777", region), "AKIAKNOWN", "192.0.2.7")
    assert (mail_from, rcpt_to, content) == ("a@b.example", ("c@d.example", "e@f.example"), MESSAGE.content)
    assert (envelope.rcpt_to, envelope.client_ip) == (rcpt_to, "192.0.2.7")


@pytest.mark.parametrize(
    "login",
    [
        Login("AKIAKNOWN", "secret"),
        Login("AKIAKNOWN", ""),
        Login("AKIAKNOWN", smtp_password("secret", "ap-south-1")),
        Login("AKIAKNOWN", smtp_password("secret", "us-east-1"), "someone-else"),
        Login("AKIAOTHER", smtp_password("secret", "us-east-1")),
        Login("AKIAOTHER", smtp_password("unknown", "us-east-1")),
        Login("ASIATEMP", smtp_password("secret", "us-east-1")),
        Login("ASIATEMP", smtp_password("unknown", "us-east-1")),
        Login("999988887777", "anything"),
    ],
)
async def test_strict_door_refuses_other_credentials(login: Login) -> None:
    strict = session(Submissions(), strict=True)
    assert await ask(strict, login) == "535 Authentication Credentials Invalid"
    assert (await ask(strict, Mail("a@b.example"))).startswith("530 ")


@pytest.mark.parametrize(
    ("login", "scope"),
    [
        (None, HOME),
        (Login("anyone", "anything"), HOME),
        (Login("111122223333", "x"), Scope("111122223333", "us-east-1")),
        (Login("١١١١٢٢٢٢٣٣٣٣", "x"), HOME),
        (Login("AKIAKNOWN", smtp_password("secret", "eu-west-1")), Scope("999988887777", "eu-west-1")),
    ],
)
async def test_open_door_takes_everybody(login: Login | None, scope: Scope) -> None:
    submissions = Submissions()
    opened = session(submissions, strict=False)
    if login is not None:
        assert (await ask(opened, login)).startswith("235 ")
    assert await ask(opened, Mail("a@b.example")) == "250 Ok"
    await ask(opened, MESSAGE)
    assert submissions.taken[0][0].scope == scope


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.Throttling("Daily message quota exceeded."), "454 Throttling failure: Daily message quota exceeded"),
        (errors.InvalidParameterValue("Duplicate header 'X'."), "554 Transaction failed: Duplicate header 'X'."),
        (errors.InvalidParameterValue("Message length is more than 9 bytes long: '10'."), "552 Message is too long."),
        (errors.AccessDenied("User `u' is not authorized"), "554 Access denied: User `u' is not authorized"),
        (errors.InvalidParameterValue("a\r\n250 Ok"), "554 Transaction failed: a??250 Ok"),
    ],
)
async def test_service_error_is_shown_as_ses_shows_it(error: ServiceError, text: str) -> None:
    assert await ask(session(Submissions(error), strict=False), MESSAGE) == text
