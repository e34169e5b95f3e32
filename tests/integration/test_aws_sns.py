"""SNS by the real protocol, against moto: what is published arrives, and what is refused says how."""

import json
from collections.abc import Iterator

import pytest
from tests.support.moto import ACCESS, ACCOUNT, Moto
from tests.support.processes import free_port
from tests.support.sdk import ses_client
from tests.support.server import Server

from posthouse.adapters.aws_session import AwsService
from posthouse.adapters.aws_sns import AwsTopics
from posthouse.ports.topics import Published, PublishFailed, TopicUnknown


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto")) as moto:
        yield moto


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)


class Listener:
    """A queue that hears what a topic is given."""

    def __init__(self, moto: Moto, name: str, region: str = "us-east-1") -> None:
        self._sqs = moto.client("sqs", region)
        self.arn: str = moto.client("sns", region).create_topic(Name=name)["TopicArn"]
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        queue = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        moto.client("sns", region).subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=queue)

    def heard(self) -> list[dict[str, str]]:
        got = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(each["Body"]) for each in got]


async def test_what_is_published_arrives_with_its_subject_in_the_region_of_the_topic(moto: Moto) -> None:
    near, far = Listener(moto, "near"), Listener(moto, "far", "eu-west-1")
    topics = AwsTopics(AwsService("sns", moto.url))
    try:
        first = await topics.publish(ACCOUNT, near.arn, None, '{"a": "grün"}\n')
        second = await topics.publish(ACCOUNT, far.arn, "Amazon SES Email Event Notification", "m")
    finally:
        await topics.close()
    assert isinstance(first, Published)
    assert isinstance(second, Published)
    [heard] = near.heard()
    assert (heard["Message"], heard["MessageId"], heard["TopicArn"]) == ('{"a": "grün"}\n', first.message_id, near.arn)
    assert "Subject" not in heard
    [heard] = far.heard()
    assert (heard["Subject"], heard["TopicArn"]) == ("Amazon SES Email Event Notification", far.arn)


async def test_a_topic_that_is_none_is_unknown(moto: Moto) -> None:
    topics = AwsTopics(AwsService("sns", moto.url))
    try:
        for arn in (f"arn:aws:sns:us-east-1:{ACCOUNT}:nobody", "nonsense"):
            assert await topics.publish(ACCOUNT, arn, None, "m") == TopicUnknown()
    finally:
        await topics.close()


async def test_what_sns_does_not_take_is_not_sent(moto: Moto) -> None:
    topics, listener = AwsTopics(AwsService("sns", moto.url)), Listener(moto, "strict")
    try:
        outcome = await topics.publish(ACCOUNT, listener.arn, "two\nlines", "m")
    finally:
        await topics.close()
    assert outcome == PublishFailed("Invalid parameter: Subject")
    assert listener.heard() == []


async def test_an_endpoint_that_does_not_answer_is_a_failure_not_a_traceback() -> None:
    topics = AwsTopics(AwsService("sns", f"http://127.0.0.1:{free_port()}"))
    try:
        outcome = await topics.publish(ACCOUNT, f"arn:aws:sns:us-east-1:{ACCOUNT}:mail", None, "m")
    finally:
        await topics.close()
    assert isinstance(outcome, PublishFailed)
    assert "Could not connect" in outcome.reason


async def test_without_credentials_it_is_a_failure(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    topics = AwsTopics(AwsService("sns", moto.url))
    try:
        outcome = await topics.publish(ACCOUNT, f"arn:aws:sns:us-east-1:{ACCOUNT}:mail", None, "m")
    finally:
        await topics.close()
    assert isinstance(outcome, PublishFailed)
    assert "credentials" in outcome.reason


def test_a_server_with_the_aws_backend_tells_the_topic_itself(moto: Moto) -> None:
    listener = Listener(moto, "bounces")
    with Server({"sns.backend": "aws", "aws.sns_endpoint_url": moto.url}) as server:
        ses = ses_client(server.url)
        ses.verify_domain_identity(Domain="shop.example")
        asked = {"Identity": "shop.example", "NotificationType": "Bounce"}
        ses.set_identity_notification_topic(**asked, SnsTopic=listener.arn)
        [heard] = listener.heard()
        assert json.loads(heard["Message"])["notificationType"] == "AmazonSnsSubscriptionSucceeded"
        with pytest.raises(ses.exceptions.ClientError, match="is invalid"):
            ses.set_identity_notification_topic(**asked, SnsTopic=listener.arn + "-not")
        shown = ses.get_identity_notification_attributes(Identities=["shop.example"])["NotificationAttributes"]
        assert shown["shop.example"]["BounceTopic"] == listener.arn
        assert server.admin("/topics")["topics"] == []
