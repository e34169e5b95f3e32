"""Verification mail from the call to the click: boto3, a real server, the mail as it left, the link in it."""

import http.client
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.sdk import ses_client
from tests.support.server import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"identities.auto_verify": False}) as found:
        yield found


@pytest.fixture(scope="module")
def ses(server: Server) -> Any:
    return ses_client(server.url)


def wait_for_mail(server: Server, recipient: str, subject: str = "") -> Any:
    return server.admin(f"/messages/wait?recipient={recipient}&timeout=10&subject={subject}")


def path_in(server: Server, text: str) -> str:
    found = re.search(rf"{re.escape(server.url)}(/verify/[A-Za-z0-9_-]+)", text)
    assert found, text
    return found[1]


def status(ses: Any, address: str) -> str:
    found = ses.get_identity_verification_attributes(Identities=[address])
    return str(found["VerificationAttributes"][address]["VerificationStatus"])


def location(server: Server, path: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("location")
    finally:
        connection.close()


def test_an_address_is_verified_by_the_link_in_its_mail(server: Server, ses: Any) -> None:
    address = "ann@example.com"
    ses.verify_email_identity(EmailAddress=address)
    assert status(ses, address) == "Pending"
    mail = wait_for_mail(server, address)
    path = path_in(server, mail["text"])
    assert path in mail["html"]
    assert server.get(path[:-1])[0] == 404
    assert status(ses, address) == "Pending"
    assert server.get(path)[0] == 200
    assert status(ses, address) == "Success"
    assert server.get(path)[0] == 410
    assert ses.list_verified_email_addresses()["VerifiedEmailAddresses"] == [address]


def test_the_mail_is_signed_by_the_service_domain(server: Server, ses: Any) -> None:
    ses.verify_email_address(EmailAddress="bob@example.com")
    mail = wait_for_mail(server, "bob@example.com")
    assert server.wait_queue_empty(10)
    raw = server.get(f"/api/v1/messages/{mail['message_id']}/raw")[1]
    assert re.search(rb"DKIM-Signature:[^:]*\bd=posthouse\.test", raw)
    assert b"\r\nFrom: Posthouse <no-reply@posthouse.test>\r\n" in raw


def test_a_link_survives_a_restart(server: Server, ses: Any) -> None:
    ses.verify_email_identity(EmailAddress="eve@example.com")
    path = path_in(server, wait_for_mail(server, "eve@example.com")["text"])
    server.restart()
    assert server.get(path)[0] == 200


def test_a_custom_verification_mail_leads_to_the_accounts_pages(server: Server, ses: Any) -> None:
    ses.verify_email_identity(EmailAddress="shop@example.com")
    assert server.get(path_in(server, wait_for_mail(server, "shop@example.com")["text"]))[0] == 200
    ses.create_custom_verification_email_template(
        TemplateName="Welcome",
        FromEmailAddress="shop@example.com",
        TemplateSubject="Is this you?",
        TemplateContent="<html><body><h1>Welcome</h1></body></html>",
        SuccessRedirectionURL="https://x.example/ok",
        FailureRedirectionURL="https://x.example/failed",
    )
    listed = ses.list_custom_verification_email_templates()["CustomVerificationEmailTemplates"]
    assert [each["TemplateName"] for each in listed] == ["Welcome"]
    assert "TemplateContent" not in listed[0]
    sent = ses.send_custom_verification_email(EmailAddress="dana@example.com", TemplateName="Welcome")
    assert status(ses, "dana@example.com") == "Pending"
    mail = wait_for_mail(server, "dana@example.com")
    assert mail["message_id"] == sent["MessageId"]
    path = path_in(server, mail["html"])
    assert location(server, path[:-1]) == (404, None)
    assert location(server, path) == (302, "https://x.example/ok")
    assert status(ses, "dana@example.com") == "Success"
    assert location(server, path) == (302, "https://x.example/failed")
    ses.delete_custom_verification_email_template(TemplateName="Welcome")
    with pytest.raises(ses.exceptions.CustomVerificationEmailTemplateDoesNotExistException) as error:
        ses.delete_custom_verification_email_template(TemplateName="Welcome")
    assert error.value.response["Error"]["Message"] == "Custom verification email template <Welcome> does not exist"
