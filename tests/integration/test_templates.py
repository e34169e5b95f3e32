"""The template operations by boto3, on one server."""

import email
import time
from collections.abc import Iterator
from email import policy
from typing import Any

import pytest
from tests.support.sdk import ses_client
from tests.support.server import Server

HELLO = {
    "TemplateName": "hello",
    "SubjectPart": "Hi {{name}}",
    "TextPart": "Dear {{name}}",
    "HtmlPart": "<p>{{name}}</p>",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as found:
        yield found


@pytest.fixture(scope="module")
def ses(server: Server) -> Any:
    found = ses_client(server.url)
    found.create_template(Template=HELLO)
    return found


def test_create_get_and_what_create_refuses(ses: Any) -> None:
    assert ses.get_template(TemplateName="hello")["Template"] == HELLO
    with pytest.raises(ses.exceptions.AlreadyExistsException) as exists:
        ses.create_template(Template=HELLO)
    assert exists.value.response["Error"]["Message"] == "Template hello already exists."
    assert exists.value.response["Name"] == "hello"
    with pytest.raises(ses.exceptions.InvalidTemplateException) as invalid:
        ses.create_template(Template={**HELLO, "TemplateName": "broken", "TextPart": "{{#each x}}"})
    assert invalid.value.response["TemplateName"] == "broken"
    with pytest.raises(ses.exceptions.LimitExceededException):
        ses.create_template(Template={**HELLO, "TemplateName": "huge", "HtmlPart": "x" * 512_000})
    with pytest.raises(ses.exceptions.ClientError, match="The subject must be specified."):
        ses.create_template(Template={"TemplateName": "bare", "TextPart": "t"})
    with pytest.raises(ses.exceptions.TemplateDoesNotExistException):
        ses.get_template(TemplateName="broken")


def test_update(ses: Any) -> None:
    ses.create_template(Template={**HELLO, "TemplateName": "changing"})
    ses.update_template(Template={"TemplateName": "changing", "SubjectPart": "New"})
    assert ses.get_template(TemplateName="changing")["Template"] == {"TemplateName": "changing", "SubjectPart": "New"}
    with pytest.raises(ses.exceptions.TemplateDoesNotExistException) as missing:
        ses.update_template(Template={**HELLO, "TemplateName": "absent"})
    assert missing.value.response["TemplateName"] == "absent"


def test_delete(ses: Any) -> None:
    ses.create_template(Template={**HELLO, "TemplateName": "going"})
    for _ in range(2):
        ses.delete_template(TemplateName="going")
    with pytest.raises(ses.exceptions.TemplateDoesNotExistException) as missing:
        ses.get_template(TemplateName="going")
    assert missing.value.response["Error"]["Message"] == "Template going does not exist."


def test_list(server: Server) -> None:
    elsewhere = ses_client(server.url, region="eu-west-1")
    assert elsewhere.list_templates()["TemplatesMetadata"] == []
    for number in range(12):
        elsewhere.create_template(Template={**HELLO, "TemplateName": f"t{number:02}"})
    first = elsewhere.list_templates()
    assert [each["Name"] for each in first["TemplatesMetadata"]] == [f"t{number:02}" for number in range(11, 1, -1)]
    assert abs(first["TemplatesMetadata"][0]["CreatedTimestamp"].timestamp() - time.time()) < 300
    second = elsewhere.list_templates(NextToken=first["NextToken"], MaxItems=500)
    assert [each["Name"] for each in second["TemplatesMetadata"]] == ["t01", "t00"]
    assert "NextToken" not in second
    with pytest.raises(elsewhere.exceptions.ClientError, match="Invalid PageToken <x>."):
        elsewhere.list_templates(NextToken="x")


def test_test_render(ses: Any) -> None:
    raw = ses.test_render_template(TemplateName="hello", TemplateData='{"name":"Zoë"}')["RenderedTemplate"]
    message = email.message_from_string(raw, policy=policy.default)
    assert message["Subject"] == "Hi Zoë"
    assert [part.get_content().strip() for part in message.iter_parts()] == ["Dear Zoë", "<p>Zoë</p>"]
    with pytest.raises(ses.exceptions.MissingRenderingAttributeException) as missing:
        ses.test_render_template(TemplateName="hello", TemplateData="{}")
    assert missing.value.response["Error"]["Message"] == "Attribute 'name' is not present in the rendering data."
    with pytest.raises(ses.exceptions.InvalidRenderingParameterException):
        ses.test_render_template(TemplateName="hello", TemplateData="{'name': 'Zoe'}")
    with pytest.raises(ses.exceptions.TemplateDoesNotExistException):
        ses.test_render_template(TemplateName="absent", TemplateData="{}")


def test_templates_survive_a_restart(server: Server, ses: Any) -> None:
    server.restart()
    assert ses.get_template(TemplateName="hello")["Template"] == HELLO
