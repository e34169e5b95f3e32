"""The API door, driven as an ASGI application."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from posthouse.api.server import ApiDoor, Authentication
from posthouse.domain.scope import Caller, Scope
from posthouse.model import generated as g
from posthouse.model.errors import InvalidParameterValue
from posthouse.ports.credentials import Credential

RID = "7c6a1e5f-0000-4000-8000-000000000001"
KEY, SECRET, ACCOUNT = "AKIDEXAMPLE", "secret", "111122223333"
DEFAULT_ACCOUNT = "000000000000"


class OneCredential:
    """A store of one access key."""

    def __init__(self, **more: Any) -> None:
        self.credential = Credential(KEY, SECRET, ACCOUNT, **more)

    async def find(self, access_key: str) -> Credential | None:
        return self.credential if access_key == KEY else None


class Answer:
    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.status = events[0]["status"]
        self.headers = dict(events[0]["headers"])
        self.body = b"".join(event.get("body", b"") for event in events[1:])
        self.xml = ElementTree.fromstring(self.body)

    def text(self, name: str) -> str | None:
        return self.xml.findtext(f".//{{*}}{name}")


def door(
    mode: Any = "open", credentials: OneCredential | None = None, now_ms: int | None = None, **more: Any
) -> ApiDoor:

    return ApiDoor(
        credentials or OneCredential(),
        {"SendEmail": send_email, "DeleteIdentity": fail, "GetSendQuota": quota},
        Authentication(mode, DEFAULT_ACCOUNT),
        lambda: time.time_ns() // 1_000_000 if now_ms is None else now_ms,
        lambda: RID,
        **more,
    )


CALLS: list[tuple[Any, Caller]] = []


async def send_email(request: g.SendEmailRequest, caller: Caller) -> g.SendEmailResponse:
    CALLS.append((request, caller))
    if request.source == "bad":
        raise InvalidParameterValue("Missing final '@domain'")
    return g.SendEmailResponse(message_id="m-1")


async def quota(request: g.GetSendQuotaRequest, caller: Caller) -> g.GetSendQuotaResponse:
    CALLS.append((request, caller))
    return g.GetSendQuotaResponse(max24_hour_send=200.0, max_send_rate=1.0, sent_last24_hours=0.0)


async def fail(request: g.DeleteIdentityRequest, caller: Caller) -> g.DeleteIdentityResponse:
    raise RuntimeError("a bug <here>")


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


SEND = {
    "Action": "SendEmail",
    "Version": "2010-12-01",
    "Source": "a@example.com",
    "Destination.ToAddresses.member.1": "b@example.com",
    "Message.Subject.Data": "s",
    "Message.Body.Text.Data": "t",
}
QUOTA = {"Action": "GetSendQuota", "Version": "2010-12-01"}


def scope(method: str = "POST", query: bytes = b"", headers: dict[str, str] | None = None) -> dict[str, Any]:
    pairs = [(k.lower().encode(), v.encode()) for k, v in {"Host": "localhost", **(headers or {})}.items()]
    return {
        "type": "http",
        "method": method,
        "path": "/",
        "raw_path": b"/",
        "query_string": query,
        "headers": pairs,
        "client": ("192.0.2.1", 40000),
    }


def pieces(*parts: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    waiting = [{"type": "http.request", "body": p, "more_body": i + 1 < len(parts)} for i, p in enumerate(parts)]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    return receive


async def call(app: ApiDoor, connection: dict[str, Any], receive: Callable[[], Awaitable[Any]]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(event: Any) -> None:
        sent.append(event)

    await app(connection, receive, send)
    return sent


async def post(app: ApiDoor, form: dict[str, str], headers: dict[str, str] | None = None) -> Answer:
    return Answer(await call(app, scope(headers=headers), pieces(urlencode(form).encode())))


def signed(form: dict[str, str], *, secret: str = SECRET, token: str | None = None, key: str = KEY) -> dict[str, str]:
    request = AWSRequest("POST", "http://localhost/", data=urlencode(form))
    SigV4Auth(BotoCredentials(key, secret, token), "ses", "eu-west-1").add_auth(request)
    return dict(request.headers.items())


class TestAnswers:
    async def test_response_and_headers(self) -> None:
        answer = await post(door(), SEND)
        assert (answer.status, answer.text("MessageId"), answer.text("RequestId")) == (200, "m-1", RID)
        assert answer.headers == {
            b"x-amzn-requestid": RID.encode(),
            b"content-type": b"text/xml",
            b"content-length": str(len(answer.body)).encode(),
        }

    async def test_refusal_of_an_operation_is_its_error(self) -> None:
        answer = await post(door(), {**SEND, "Source": "bad"})
        assert (answer.status, answer.text("Code")) == (400, "InvalidParameterValue")
        assert answer.text("Message") == "Missing final '@domain'"
        assert answer.headers[b"x-amzn-requestid"] == RID.encode()

    async def test_bug_is_logged_once_and_told_as_internal_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR, "posthouse.api"):
            answer = await post(door(), {"Action": "DeleteIdentity", "Identity": "x"})
        assert (answer.status, answer.text("Code"), answer.text("Type")) == (500, "InternalFailure", "Receiver")
        assert b"bug" not in answer.body
        assert [RID in record.getMessage() for record in caplog.records] == [True]
        assert "a bug <here>" in caplog.text

    async def test_violations_of_the_model_are_one_validation_error(self) -> None:
        answer = await post(door(), {"Action": "SendEmail"})
        assert answer.text("Code") == "ValidationError"
        assert answer.text("Message").startswith("3 validation errors detected: ")


class TestRequests:
    async def test_get_with_a_query(self) -> None:
        answer = Answer(await call(door(), scope("GET", urlencode(QUOTA).encode()), pieces(b"")))
        assert answer.text("Max24HourSend") == "200.0"

    async def test_post_may_name_the_action_in_the_query(self) -> None:
        answer = Answer(await call(door(), scope(query=b"Action=GetSendQuota"), pieces(b"Version=2010-12-01")))
        assert answer.status == 200

    async def test_parameter_of_the_query_goes_before_the_body(self) -> None:
        connection = scope(query=b"Source=query%40example.com")
        await call(door(), connection, pieces(urlencode(SEND).encode()))
        assert CALLS[0][0].source == "query@example.com"

    async def test_repeated_query_parameter_is_refused(self) -> None:
        answer = Answer(await call(door(), scope("GET", b"Action=GetSendQuota&Action=SendEmail"), pieces(b"")))
        assert (answer.status, answer.text("Code")) == (404, "MalformedQueryString")

    async def test_body_in_pieces(self) -> None:
        raw = urlencode(SEND).encode()
        answer = Answer(await call(door(), scope(), pieces(*(raw[i : i + 7] for i in range(0, len(raw), 7)))))
        assert answer.status == 200

    @pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/x-www-form-urlencoded"])
    async def test_content_type_does_not_matter(self, content_type: str) -> None:
        assert (await post(door(), SEND, {"Content-Type": content_type})).status == 200

    @pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "BREW"])
    async def test_other_methods_are_refused(self, method: str) -> None:
        answer = Answer(await call(door(), scope(method), pieces(b"")))
        assert (answer.status, answer.text("Code")) == (405, "MethodNotAllowed")

    async def test_without_action(self) -> None:
        for form in ({}, {"Version": "2010-12-01"}, {"Action": ""}):
            answer = await post(door(), form)
            assert (answer.status, answer.text("Code")) == (400, "MissingAction")

    @pytest.mark.parametrize(
        ("action", "version"), [("Dance", "2010-12-01"), ("SendEmail", "2012-12-01"), ("<&>", "x")]
    )
    async def test_unknown_action_or_version(self, action: str, version: str) -> None:
        answer = await post(door(), {"Action": action, "Version": version})
        assert (answer.status, answer.text("Code")) == (400, "InvalidAction")
        assert answer.text("Message") == f"Could not find operation {action} for version {version}"

    async def test_version_may_be_left_out(self) -> None:
        assert (await post(door(), {"Action": "GetSendQuota"})).status == 200

    async def test_operation_that_is_not_built(self) -> None:
        answer = await post(door(), {"Action": "ListIdentities"})
        assert (answer.status, answer.text("Code")) == (400, "InvalidAction")
        assert answer.text("Message") == "The operation ListIdentities is known but not built yet"

    async def test_client_that_hangs_up_is_not_answered(self) -> None:
        assert await call(door(), scope(), pieces()) == []
        assert CALLS == []

    async def test_only_http_is_spoken(self) -> None:
        with pytest.raises(ValueError, match="websocket"):
            await call(door(), {"type": "websocket"}, pieces())


class TestLimits:
    async def test_announced_length_is_refused_before_it_comes(self) -> None:
        for length in ("101", "9" * 400):
            answer = Answer(await call(door(max_body=100), scope(headers={"Content-Length": length}), pieces()))
            assert (answer.status, answer.text("Code")) == (413, "RequestEntityTooLarge")
            assert answer.headers[b"connection"] == b"close"

    async def test_body_that_grows_too_long_is_refused(self) -> None:
        answer = Answer(await call(door(max_body=100), scope(), pieces(b"x" * 60, b"x" * 60)))
        assert answer.status == 413

    async def test_body_at_the_limit_is_read(self) -> None:
        raw = urlencode(SEND).encode()
        answer = Answer(await call(door(max_body=len(raw)), scope(), pieces(raw)))
        assert answer.status == 200

    async def test_too_many_headers_are_refused(self) -> None:
        answer = await post(door(), SEND, {f"X-Header-{i}": "x" for i in range(100)})
        assert (answer.status, answer.text("Code")) == (431, "RequestHeadersTooLarge")

    async def test_bodies_that_are_too_long_together_are_refused_until_one_is_answered(self) -> None:
        api, raw = door(max_bodies=100_000), urlencode(SEND | {"Message.Body.Text.Data": "x" * 60_000}).encode()
        never = asyncio.Event()
        parts = iter([{"type": "http.request", "body": raw[:-1], "more_body": True}])

        async def slow() -> Any:
            if (part := next(parts, None)) is None:
                await never.wait()
                return {"type": "http.disconnect"}
            return part

        first = asyncio.create_task(call(api, scope(), slow))
        await asyncio.sleep(0.01)
        refused = Answer(await call(api, scope(), pieces(raw)))
        assert (refused.status, refused.text("Code")) == (503, "ServiceUnavailable")
        assert refused.headers[b"connection"] == b"close"
        assert Answer(await call(api, scope(), pieces(urlencode(SEND).encode()))).status == 200
        never.set()
        await first
        assert Answer(await call(api, scope(), pieces(raw))).status == 200

    async def test_body_that_does_not_come_in_time_is_refused(self) -> None:
        never = asyncio.Event()

        async def receive() -> None:
            await never.wait()

        answer = Answer(await call(door(body_timeout_s=0.01), scope(), receive))
        assert (answer.status, answer.text("Code")) == (408, "RequestTimeout")


class TestOpenMode:
    async def test_unsigned_caller_is_the_default_account(self) -> None:
        await post(door(), QUOTA)
        caller = CALLS[0][1]
        assert caller == Caller(Scope(DEFAULT_ACCOUNT, "us-east-1"), "anonymous", "192.0.2.1")

    async def test_how_the_request_came_is_the_callers_too(self) -> None:
        await post(door(), QUOTA, {"User-Agent": "Boto3/1.2"})
        await call(door(), {**scope(), "scheme": "https"}, pieces(urlencode(QUOTA).encode()))
        assert [(caller.user_agent, caller.secure) for _, caller in CALLS] == [("Boto3/1.2", False), ("", True)]

    @pytest.mark.parametrize(
        ("key", "account"),
        [("AKIDEXAMPLE", DEFAULT_ACCOUNT), ("123456789012", "123456789012"), ("1234567890123", DEFAULT_ACCOUNT)],
    )
    async def test_any_signature_is_accepted_and_an_account_number_as_key_names_the_account(self, key, account) -> None:
        await post(door(), QUOTA, signed(QUOTA, key=key, secret="whatever"))
        assert CALLS[0][1].scope == Scope(account, "eu-west-1")

    async def test_unreadable_signature_is_accepted(self) -> None:
        await post(door(), QUOTA, {"Authorization": "nonsense"})
        assert CALLS[0][1].scope == Scope(DEFAULT_ACCOUNT, "us-east-1")

    async def test_digits_of_another_script_name_no_account(self) -> None:
        await post(door(), QUOTA, {"Authorization": "AWS4 Credential=²²²²²²²²²²²²/20240502/us-east-1/ses/x"})
        assert CALLS[0][1].scope.account == DEFAULT_ACCOUNT


class TestStrictMode:
    async def test_valid_signature_names_account_and_region(self) -> None:
        answer = await post(door("strict"), QUOTA, signed(QUOTA))
        assert answer.status == 200
        assert CALLS[0][1] == Caller(Scope(ACCOUNT, "eu-west-1"), KEY, "192.0.2.1")

    async def test_unsigned_request_is_refused(self) -> None:
        answer = await post(door("strict"), QUOTA)
        assert (answer.status, answer.text("Code")) == (403, "MissingAuthenticationToken")

    async def test_unknown_access_key_is_refused(self) -> None:
        answer = await post(door("strict"), QUOTA, signed(QUOTA, key="AKIDOTHER"))
        assert (answer.status, answer.text("Code")) == (403, "InvalidClientTokenId")
        assert answer.text("Message") == "The security token included in the request is invalid."

    async def test_wrong_secret_is_refused(self) -> None:
        answer = await post(door("strict"), QUOTA, signed(QUOTA, secret="wrong"))
        assert (answer.status, answer.text("Code")) == (403, "SignatureDoesNotMatch")

    async def test_changed_body_is_refused(self) -> None:
        answer = await post(door("strict"), {**QUOTA, "X": "1"}, signed(QUOTA))
        assert answer.text("Code") == "SignatureDoesNotMatch"

    async def test_old_signature_is_refused(self) -> None:
        answer = await post(door("strict", now_ms=4_102_444_800_000), QUOTA, signed(QUOTA))
        assert answer.text("Message").startswith("Signature expired: ")

    async def test_caller_is_known_before_the_request_is_judged(self) -> None:
        assert (await post(door("strict"), {"Action": "Dance"})).text("Code") == "MissingAuthenticationToken"

    async def test_temporary_credential_needs_its_token_and_ends(self) -> None:
        alive = OneCredential(session_token="token", expires_ms=4_102_444_800_000)
        assert (await post(door("strict", alive), QUOTA, signed(QUOTA, token="token"))).status == 200
        assert (await post(door("strict", alive), QUOTA, signed(QUOTA))).text("Code") == "InvalidClientTokenId"
        ended = OneCredential(session_token="token", expires_ms=1)
        answer = await post(door("strict", ended), QUOTA, signed(QUOTA, token="token"))
        assert (answer.status, answer.text("Code")) == (403, "ExpiredToken")
