"""What each action does with a mail, and what becomes of the rest of its rule."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.unit.receiving.counter import (
    ANN,
    BOUNCE,
    DOMAIN,
    FUNCTION,
    HELP,
    KEY,
    LAMBDA,
    MAIL,
    OTHER_TOPIC,
    S3,
    SALES,
    SENDER,
    SNS,
    STOP,
    TOPIC,
    WORKMAIL,
    Counter,
    Form,
    header,
    open_counter,
    told,
)

from posthouse.domain.receipt_progress import GIVE_UP_MS
from posthouse.ports.data_keys import KeyUnknown
from posthouse.ports.functions import (
    Answered,
    CallFailed,
    CallNotPermitted,
    CallOutcome,
    FunctionBroke,
    FunctionUnknown,
)
from posthouse.ports.mail_stores import MailboxRefused, NotNow
from posthouse.ports.objects import BucketUnknown, PutOutcome, WriteFailed, WriteNotPermitted, WriterRefused
from posthouse.ports.topics import PublishFailed, TopicUnknown
from posthouse.receiving.actions import MAX_OBJECT, MAX_PUBLISHED


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    async with open_counter() as counter:
        yield counter


def answers(counter: Counter, *dispositions: object) -> None:
    [disposition] = dispositions
    counter.functions.answers[FUNCTION] = Answered(json.dumps({"disposition": disposition}).encode())


# -- S3


async def test_s3_gets_the_mail_with_what_ses_adds_on_top(counter: Counter) -> None:
    await counter.rule({**S3, "S3Action.ObjectKeyPrefix": "in"}, ScanEnabled="true")
    message_id = await counter.comes_through()
    content = counter.objects.written["mail", f"in/{message_id}"]
    names = [line.partition(b":")[0] for line in content.split(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] not in b" \t"]
    assert names == [
        b"Return-Path", b"Received", b"X-SES-Spam-Verdict", b"X-SES-Virus-Verdict", b"Received-SPF",
        b"Authentication-Results", b"X-SES-RECEIPT", b"From", b"To", b"Subject",
    ]  # fmt: skip
    assert content.endswith(MAIL)
    assert b"X-SES-Spam-Verdict: FAIL\r\n" in content
    assert counter.objects.metadata["mail", f"in/{message_id}"] == {}
    assert await counter.runs(message_id) == [("first", "S3", "done")]


async def test_s3_gets_encrypted_mail_where_a_key_is_named(counter: Counter) -> None:
    await counter.rule({**S3, "S3Action.KmsKeyArn": KEY})
    message_id = await counter.comes_through()
    metadata = counter.objects.metadata["mail", message_id]
    plain = AESGCM(b"k" * 32).decrypt(
        base64.b64decode(metadata["x-amz-iv"]), counter.objects.written["mail", message_id], None
    )
    assert plain.endswith(MAIL)
    assert metadata["x-amz-unencrypted-content-length"] == str(len(plain))
    assert json.loads(metadata["x-amz-matdesc"]) == {
        "aws:ses:message-id": message_id,
        "aws:ses:rule-name": "first",
        "aws:ses:source-account": ANN.scope.account,
        "kms_cmk_id": KEY,
    }
    again = await counter.comes_through()
    assert counter.objects.metadata["mail", again]["x-amz-iv"] != metadata["x-amz-iv"]


@pytest.mark.parametrize(
    "refusal", [BucketUnknown(), WriteNotPermitted("no"), WriterRefused("no"), WriteFailed("down")]
)
async def test_a_bucket_that_takes_nothing_is_tried_again(counter: Counter, refusal: PutOutcome) -> None:
    await counter.rule(S3, SNS)
    counter.objects.refusals["mail"] = refusal
    message_id = await counter.comes_through()
    assert await counter.runs(message_id) == [("first", "S3", "to be tried again")]
    assert counter.topics.published == []
    del counter.objects.refusals["mail"]
    counter.clock.at_ms += 5_000
    await counter.work()
    assert [result for *_, result in await counter.runs(message_id)] == ["to be tried again", "done", "done"]
    assert len(counter.topics.published) == 1


async def test_a_key_that_gives_nothing_keeps_the_mail_from_being_written(counter: Counter) -> None:
    await counter.rule({**S3, "S3Action.KmsKeyArn": KEY})
    counter.data_keys.refusals[KEY] = KeyUnknown()
    message_id = await counter.comes_through()
    assert await counter.runs(message_id) == [("first", "S3", "to be tried again")]
    assert counter.objects.written == {}


async def test_what_is_too_large_for_s3_is_bounced_and_its_rule_ends(counter: Counter) -> None:
    await counter.rule(S3, SNS)
    await counter.rule(WORKMAIL, name="second", after="first")
    message_id = await counter.comes_through(MAIL + b"x" * MAX_OBJECT)
    assert await counter.runs(message_id) == [("first", "S3", "impossible"), ("second", "WorkMail", "done")]
    [(sender, to, status)] = await counter.bounces()
    assert (sender, to) == ("MAILER-DAEMON@posthouse.test", SENDER)
    [recipient] = status.recipients
    assert (recipient.final_recipient, recipient.status, recipient.action) == (HELP, "5.3.4", "failed")


# -- SNS


@pytest.mark.parametrize("encoding", ["UTF-8", "Base64"])
async def test_sns_gets_the_whole_mail(counter: Counter, encoding: str) -> None:
    await counter.rule({**SNS, "SNSAction.Encoding": encoding})
    message_id = await counter.comes_through(MAIL + b"gr\xc3\xbcn \xff\r\n")
    [(topic, subject, message)] = counter.topics.published
    assert (topic, subject) == (TOPIC, "Amazon SES Email Receipt Notification")
    notification = json.loads(message)
    assert notification["mail"]["messageId"] == message_id
    assert notification["receipt"]["action"] == {
        "type": "SNS", "topicArn": TOPIC, "encoding": {"UTF-8": "UTF8", "Base64": "BASE64"}[encoding]
    }  # fmt: skip
    content = notification["content"]
    if encoding == "Base64":
        assert base64.b64decode(content).endswith(b"gr\xc3\xbcn \xff\r\n")
    else:
        assert content.endswith("grün \ufffd\r\n")
    assert content if encoding == "UTF-8" else base64.b64decode(content).startswith(b"Return-Path: <amy@partner")


async def test_what_is_too_large_for_sns_is_bounced_once(counter: Counter) -> None:
    await counter.rule(SNS)
    await counter.rule({"SNSAction.TopicArn": OTHER_TOPIC}, name="second", after="first")
    await counter.comes_through(MAIL + b"x" * MAX_PUBLISHED)
    assert counter.topics.published == []
    [(_, to, status)] = await counter.bounces()
    assert (to, status.recipients[0].status) == (SENDER, "5.3.4")
    # Characters that JSON spells out are longer there than here.
    message_id = await counter.comes_through(MAIL + b"\x01" * (MAX_PUBLISHED - 5_000))
    assert [result for *_, result in await counter.runs(message_id)] == ["impossible", "impossible"]
    assert len(await counter.bounces()) == 2


async def test_a_mail_of_just_the_right_size_is_published_even_as_base64(counter: Counter) -> None:
    await counter.rule({**SNS, "SNSAction.Encoding": "Base64"})
    size = len(await whole(counter))
    await counter.comes_through(MAIL + b"x" * (MAX_PUBLISHED - size))
    assert len(counter.topics.published) == 2
    await counter.comes_through(MAIL + b"x" * (MAX_PUBLISHED - size + 1))
    assert len(counter.topics.published) == 2


async def whole(counter: Counter) -> bytes:
    await counter.comes_through()
    return base64.b64decode(json.loads(counter.topics.published[-1][2])["content"])


# -- Lambda


async def test_a_function_hears_of_the_mail_without_its_body(counter: Counter) -> None:
    await counter.rule(LAMBDA)
    message_id = await counter.comes_through()
    [(arn, event, waited)] = counter.functions.called
    assert (arn, waited) == (FUNCTION, True)
    [record] = json.loads(event)["Records"]
    assert (record["eventSource"], record["eventVersion"]) == ("aws:ses", "1.0")
    assert record["ses"]["mail"]["messageId"] == message_id
    assert record["ses"]["receipt"]["recipients"] == [HELP]
    assert record["ses"]["receipt"]["action"] == {
        "type": "Lambda", "functionArn": FUNCTION, "invocationType": "RequestResponse"
    }  # fmt: skip
    assert b"Where is it?" not in event


@pytest.mark.parametrize(
    ("payload", "runs"),
    [
        (b'{"disposition":"CONTINUE"}', ["Lambda", "S3", "WorkMail"]),
        (b'{"disposition":"STOP_RULE"}', ["Lambda", "WorkMail"]),
        (b'{"disposition":"STOP_RULE_SET"}', ["Lambda"]),
        (b'{"disposition":"stop_rule"}', ["Lambda", "S3", "WorkMail"]),
        (b'{"disposition":["STOP_RULE"]}', ["Lambda", "S3", "WorkMail"]),
        (b'"STOP_RULE"', ["Lambda", "S3", "WorkMail"]),
        (b"null", ["Lambda", "S3", "WorkMail"]),
        (b"", ["Lambda", "S3", "WorkMail"]),
        (b"[" * 60_000, ["Lambda", "S3", "WorkMail"]),
        (b"\xff", ["Lambda", "S3", "WorkMail"]),
    ],
)
async def test_a_function_that_is_waited_for_decides(counter: Counter, payload: bytes, runs: list[str]) -> None:
    await counter.rule(LAMBDA, S3)
    await counter.rule(WORKMAIL, name="second", after="first")
    counter.functions.answers[FUNCTION] = Answered(payload)
    message_id = await counter.comes_through()
    assert [action for _, action, _ in await counter.runs(message_id)] == runs


async def test_a_topic_hears_of_a_function_before_its_decision_ends_the_rule_set(counter: Counter) -> None:
    await counter.rule(told(LAMBDA), S3)
    await counter.rule(WORKMAIL, name="second", after="first")
    answers(counter, "STOP_RULE_SET")
    counter.topics.refusals[TOPIC] = PublishFailed("down")
    message_id = await counter.comes_through()
    counter.topics.refusals.clear()
    counter.clock.at_ms += 5_000
    await counter.work()
    assert [(action, result) for _, action, result in await counter.runs(message_id)] == [
        ("Lambda", "done"), ("Lambda topic", "to be tried again"), ("Lambda topic", "done")
    ]  # fmt: skip
    assert len(counter.functions.called) == 1
    assert counter.objects.written == {}
    assert counter.mail_store.stored == []


async def test_a_function_that_is_not_waited_for_decides_nothing(counter: Counter) -> None:
    await counter.rule({"LambdaAction.FunctionArn": FUNCTION}, S3)
    answers(counter, "STOP_RULE_SET")
    message_id = await counter.comes_through()
    assert [waited for *_, waited in counter.functions.called] == [False]
    assert [action for _, action, _ in await counter.runs(message_id)] == ["Lambda", "S3"]


@pytest.mark.parametrize(
    "outcome",
    [FunctionUnknown(), FunctionBroke("oops"), CallNotPermitted("no"), CallFailed("no answer within 30 s", True)],
)
async def test_a_function_that_fails_is_called_again(counter: Counter, outcome: CallOutcome) -> None:
    await counter.rule(LAMBDA, S3)
    counter.functions.answers[FUNCTION] = outcome
    message_id = await counter.comes_through()
    assert await counter.runs(message_id) == [("first", "Lambda", "to be tried again")]
    answers(counter, "STOP_RULE")
    counter.clock.at_ms += 5_000
    await counter.work()
    assert len(counter.functions.called) == 2
    assert counter.objects.written == {}


# -- headers, stop


async def test_an_added_header_is_seen_by_all_that_follows(counter: Counter) -> None:
    await counter.rule(S3, header("X-Desk", "grün"), SNS, LAMBDA)
    await counter.rule({**S3, "S3Action.ObjectKeyPrefix": "late"}, WORKMAIL, name="second", after="first")
    message_id = await counter.comes_through()
    written = counter.objects.written
    assert b"X-Desk" not in written["mail", message_id]
    late = written["mail", f"late/{message_id}"]
    assert b"X-Desk: =?UTF-8?" in late
    assert late.index(b"X-SES-RECEIPT") < late.index(b"X-Desk") < late.index(b"From:")
    assert [b"X-Desk" in content for _, content in counter.mail_store.stored] == [True]
    notification = json.loads(counter.topics.published[0][2])
    assert "X-Desk" in notification["content"]
    assert [field["name"] for field in notification["mail"]["headers"]].count("X-Desk") == 1
    assert b"X-Desk" in counter.functions.called[0][1]


async def test_stop_ends_the_rule_set_and_its_topic_hears_of_it(counter: Counter) -> None:
    await counter.rule(S3, told(STOP))
    await counter.rule(WORKMAIL, name="second", after="first")
    message_id = await counter.comes_through()
    assert await counter.runs(message_id) == [
        ("first", "S3", "done"), ("first", "Stop", "done"), ("first", "Stop topic", "done")
    ]  # fmt: skip
    assert json.loads(counter.topics.published[0][2])["receipt"]["action"] == {"type": "Stop", "topicArn": TOPIC}
    assert counter.mail_store.stored == []


# -- topics of actions


@pytest.mark.parametrize("action", [S3, LAMBDA, WORKMAIL, BOUNCE])
async def test_a_topic_hears_of_an_action_after_it_was_done(counter: Counter, action: Form) -> None:
    await counter.rule(told(action), header("X-A", "1"))
    message_id = await counter.comes_through()
    [(topic, _, message)] = counter.topics.published
    notification = json.loads(message)
    assert (topic, notification["receipt"]["action"]["topicArn"]) == (TOPIC, TOPIC)
    assert "content" not in notification
    assert [result for *_, result in await counter.runs(message_id)] == ["done"] * 3


@pytest.mark.parametrize("refusal", [TopicUnknown(), PublishFailed("down")])
async def test_a_topic_that_takes_nothing_is_tried_again_without_the_action(counter: Counter, refusal: Any) -> None:
    await counter.rule(told(S3), WORKMAIL)
    counter.topics.refusals[TOPIC] = refusal
    message_id = await counter.comes_through()
    counter.objects.written.clear()
    assert await counter.runs(message_id) == [("first", "S3", "done"), ("first", "S3 topic", "to be tried again")]
    del counter.topics.refusals[TOPIC]
    counter.clock.at_ms += 5_000
    await counter.work()
    assert counter.objects.written == {}
    assert len(counter.topics.published) == 1
    assert len(counter.mail_store.stored) == 1


async def test_a_topic_that_never_takes_anything_does_not_stop_the_rule(counter: Counter) -> None:
    await counter.rule(told(S3), WORKMAIL)
    counter.topics.refusals[TOPIC] = PublishFailed("down")
    message_id = await counter.comes_through()
    counter.clock.at_ms += GIVE_UP_MS
    await counter.work()
    runs = [(action, result) for _, action, result in await counter.runs(message_id)]
    assert runs[-2:] == [("S3 topic", "given up"), ("WorkMail", "done")]
    assert counter.counted()["S3", "expired"] == 1


# -- bounce


async def test_bounce_writes_to_the_sender_under_the_null_path(counter: Counter) -> None:
    await counter.rule(BOUNCE, S3)
    message_id = await counter.comes_through(MAIL, HELP, SALES)
    [(sender, to, status)] = await counter.bounces()
    assert (sender, to) == (f"postmaster@{DOMAIN}", SENDER)
    assert status.reporting_mta == "dns; inbound-smtp.us-east-1.posthouse.test"
    assert [each.final_recipient for each in status.recipients] == [HELP, SALES]
    assert {each.status for each in status.recipients} == {"5.1.1"}
    assert {each.diagnostic_code for each in status.recipients} == {"smtp; 550 5.1.1 Mailbox does not exist"}
    # It does not stop what follows: that is for Stop to do.
    assert [action for _, action, _ in await counter.runs(message_id)] == ["Bounce", "S3"]


async def test_a_bounce_without_a_status_code_has_the_class_of_its_reply(counter: Counter) -> None:
    await counter.rule({name: value for name, value in BOUNCE.items() if not name.endswith("StatusCode")})
    await counter.comes_through()
    [(_, _, status)] = await counter.bounces()
    assert (status.recipients[0].status, status.recipients[0].diagnostic_code) == (
        "5.0.0", "smtp; 550 Mailbox does not exist"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "mail_from"),
    [
        (MAIL, ""),
        (b"Auto-Submitted: auto-replied\r\n" + MAIL, SENDER),
        (b"List-Id: <l.example>\r\n" + MAIL, SENDER),
        (b"Received: from a by b\r\n" * 60 + MAIL, SENDER),
    ],
)
async def test_what_must_not_be_answered_is_not_bounced(counter: Counter, content: bytes, mail_from: str) -> None:
    await counter.rule(BOUNCE, SNS)
    message_id = await counter.comes_through(content, mail_from=mail_from)
    assert await counter.bounces() == []
    bounce = (await counter.details(message_id))[1]
    assert bounce["text"].startswith("not bounced: ")
    assert len(counter.topics.published) == 1
    await counter.comes_through(content + b"x" * MAX_PUBLISHED, mail_from=mail_from)
    assert await counter.bounces() == []


async def test_a_sender_that_is_verified_no_more_is_tried_again(counter: Counter) -> None:
    await counter.ses.call("VerifyEmailIdentity", EmailAddress="desk@other.example")
    await counter.rule({**BOUNCE, "BounceAction.Sender": "desk@other.example"})
    await counter.ses.call("DeleteIdentity", Identity="desk@other.example")
    message_id = await counter.comes_through()
    assert await counter.runs(message_id) == [("first", "Bounce", "to be tried again")]
    assert "not verified" in (await counter.details(message_id))[1]["text"]


async def test_an_envelope_sender_that_is_no_address_is_not_bounced_to(counter: Counter) -> None:
    await counter.rule(SNS)
    message_id = await counter.comes_through(MAIL + b"x" * MAX_PUBLISHED, mail_from='"odd name"@[192.0.2.1]')
    assert await counter.runs(message_id) == [("first", "SNS", "impossible")]


# -- WorkMail


async def test_mail_is_stored_for_those_that_the_rule_matched(counter: Counter) -> None:
    await counter.rule(WORKMAIL, Recipients__member__1=HELP)
    await counter.rule(S3, name="second", after="first")
    await counter.comes_through(MAIL, HELP, SALES)
    assert [recipient for recipient, _ in counter.mail_store.stored] == [HELP]


async def test_those_who_have_it_do_not_get_it_again(counter: Counter) -> None:
    await counter.rule(WORKMAIL, S3)
    counter.mail_store.refusals[SALES] = NotNow("452 full")
    message_id = await counter.comes_through(MAIL, HELP, SALES)
    counter.mail_store.refusals.clear()
    counter.clock.at_ms += 5_000
    await counter.work()
    assert [recipient for recipient, _ in counter.mail_store.stored] == [HELP, SALES]
    assert [result for *_, result in await counter.runs(message_id)] == ["to be tried again", "done", "done"]


async def test_those_who_are_refused_are_bounced(counter: Counter) -> None:
    await counter.rule(WORKMAIL, S3)
    counter.mail_store.refusals[SALES] = MailboxRefused("550 5.1.1 no such user")
    message_id = await counter.comes_through(MAIL, HELP, SALES)
    [(sender, to, status)] = await counter.bounces()
    assert (sender, to) == ("MAILER-DAEMON@posthouse.test", SENDER)
    [recipient] = status.recipients
    assert (recipient.final_recipient, recipient.status, recipient.diagnostic_code) == (
        SALES, "5.1.1", "smtp; 550 5.1.1 no such user"
    )  # fmt: skip
    assert [result for *_, result in await counter.runs(message_id)] == ["done", "done"]
    counter.mail_store.refusals[HELP] = MailboxRefused("550 5.1.1 no such user")
    message_id = await counter.comes_through(MAIL, HELP)
    assert await counter.runs(message_id) == [("first", "WorkMail", "impossible")]


async def test_there_is_no_connect(counter: Counter) -> None:
    instance = "arn:aws:connect:us-east-1:111111111111:instance/0a1b2c3d-0000-0000-0000-000000000000"
    await counter.rule(
        {"ConnectAction.InstanceARN": instance, "ConnectAction.IAMRoleARN": "arn:aws:iam::111111111111:role/r"}, S3
    )
    message_id = await counter.comes_through()
    assert await counter.runs(message_id) == [("first", "Connect", "impossible")]
