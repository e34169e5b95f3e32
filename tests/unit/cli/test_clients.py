"""What `posthouse send` puts on the wire, checked by our own doors' readers."""

import pytest

from posthouse.cli.clients import Target, form, reachable, send_by_smtp, signed_headers
from posthouse.cli.failure import Failed
from posthouse.config import Listen
from posthouse.domain.messages import Draft, Text
from posthouse.model.errors import SignatureDoesNotMatch
from posthouse.model.generated import SendEmailRequest
from posthouse.wire import query, sigv4

NOW_MS = 1_800_000_000_000
TARGET = Target("http", Listen("127.0.0.1", 8025), "AKIAEXAMPLE", "secret", "eu-west-1", checked=False)


def signed_request(body: bytes) -> sigv4.Request:
    headers = signed_headers(TARGET, body, NOW_MS)
    folded = sigv4.fold((name.lower().encode(), value.encode()) for name, value in headers.items())
    return sigv4.Request("POST", b"/", b"", folded, body)


def test_the_signature_is_one_that_the_api_takes() -> None:
    request = signed_request(b"Action=SendEmail")
    claim = sigv4.read(request)
    assert (claim.access_key, claim.region, claim.service) == ("AKIAEXAMPLE", "eu-west-1", "ses")
    sigv4.verify(claim, request, "secret", None, NOW_MS, sigv4.SigningKeys())
    with pytest.raises(SignatureDoesNotMatch):
        sigv4.verify(claim, request, "another", None, NOW_MS, sigv4.SigningKeys())


def test_the_form_is_a_send_email_request() -> None:
    draft = Draft(
        source="a@example.com",
        to=("b@example.org", "c@example.org"),
        bcc=("d@example.org",),
        subject=Text("Grüße", "UTF-8"),
        html=Text("<p>hi"),
    )
    fields = dict(form(draft))
    assert (fields["Action"], fields["Version"]) == ("SendEmail", "2010-12-01")
    request = query.parse(fields, SendEmailRequest)
    assert request.source == draft.source
    assert request.destination.to_addresses == draft.to
    assert request.destination.bcc_addresses == draft.bcc
    assert (request.message.subject.data, request.message.subject.charset) == ("Grüße", "UTF-8")
    assert request.message.body.html.data == "<p>hi"
    assert request.message.body.text is None


@pytest.mark.parametrize("address", ["b@example.org\r\nRCPT TO:<x@y>", "b@exämple.org", "nobody"])
def test_an_address_that_is_none_never_reaches_the_wire(address: str) -> None:
    target = Target("smtp", Listen("127.0.0.1", 1), "k", "s", "us-east-1", checked=False)
    with pytest.raises(Failed, match="cannot be composed"):
        send_by_smtp(target, Draft(source="a@example.com", to=(address,), subject=Text("x"), text=Text("y")))


def test_a_wildcard_listener_is_reached_on_loopback() -> None:
    assert reachable(Listen("0.0.0.0", 25)) == Listen("127.0.0.1", 25)
    assert reachable(Listen("::", 25)) == Listen("::1", 25)
    assert reachable(Listen("192.0.2.1", 25)) == Listen("192.0.2.1", 25)
