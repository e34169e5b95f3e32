"""Responses and errors as XML."""

from xml.etree import ElementTree

import pytest

from posthouse.model import generated as g
from posthouse.model.errors import InternalFailure, InvalidParameterValue, MalformedInput
from posthouse.wire.query import render, render_error

RID = "7c6a1e5f-0000-4000-8000-000000000001"
METADATA = f"<ResponseMetadata><RequestId>{RID}</RequestId></ResponseMetadata>"
XMLNS = ' xmlns="http://ses.amazonaws.com/doc/2010-12-01/"'


def rendered(name: str, response: object) -> str:
    return render(response, g.OPERATIONS[name], RID).decode()


def result(name: str, response: object) -> str:
    """What stands in the Result element."""
    text = rendered(name, response)
    return text.partition(f"<{name}Result>")[2].partition(f"</{name}Result>")[0]


def test_response_with_a_result() -> None:
    assert rendered("SendEmail", g.SendEmailResponse(message_id="m-1")) == (
        f"<SendEmailResponse{XMLNS}><SendEmailResult><MessageId>m-1</MessageId></SendEmailResult>{METADATA}"
        "</SendEmailResponse>"
    )


def test_empty_result_is_an_empty_element() -> None:
    assert rendered("VerifyEmailIdentity", g.VerifyEmailIdentityResponse()) == (
        f"<VerifyEmailIdentityResponse{XMLNS}><VerifyEmailIdentityResult/>{METADATA}</VerifyEmailIdentityResponse>"
    )


def test_operation_without_output_has_no_result_element() -> None:
    assert rendered("VerifyEmailAddress", g.VerifyEmailAddressResponse()) == (
        f"<VerifyEmailAddressResponse{XMLNS}>{METADATA}</VerifyEmailAddressResponse>"
    )


def test_empty_list_is_an_empty_element_and_none_is_left_out() -> None:
    assert result("ListIdentities", g.ListIdentitiesResponse(identities=())) == "<Identities/>"
    assert result("GetTemplate", g.GetTemplateResponse(template=g.Template(template_name="t"))) == (
        "<Template><TemplateName>t</TemplateName></Template>"
    )


def test_list_elements_are_members() -> None:
    response = g.ListIdentitiesResponse(identities=("a", "b"), next_token="n")
    assert result("ListIdentities", response) == (
        "<Identities><member>a</member><member>b</member></Identities><NextToken>n</NextToken>"
    )


def test_maps_are_entries_of_key_and_value() -> None:
    attributes = {"a.example": g.IdentityVerificationAttributes(verification_status="Success", verification_token="t")}
    response = g.GetIdentityVerificationAttributesResponse(verification_attributes=attributes)
    assert result("GetIdentityVerificationAttributes", response) == (
        "<VerificationAttributes><entry><key>a.example</key><value><VerificationStatus>Success</VerificationStatus>"
        "<VerificationToken>t</VerificationToken></value></entry></VerificationAttributes>"
    )
    policies = g.GetIdentityPoliciesResponse(policies={"p": "{}"})
    assert result("GetIdentityPolicies", policies) == (
        "<Policies><entry><key>p</key><value>{}</value></entry></Policies>"
    )
    assert result("GetIdentityPolicies", g.GetIdentityPoliciesResponse(policies={})) == "<Policies/>"


def test_numbers_and_booleans() -> None:
    quota = g.GetSendQuotaResponse(max24_hour_send=200.0, max_send_rate=1, sent_last24_hours=-1.0)
    assert result("GetSendQuota", quota) == (
        "<Max24HourSend>200.0</Max24HourSend><MaxSendRate>1.0</MaxSendRate><SentLast24Hours>-1.0</SentLast24Hours>"
    )
    enabled = g.GetAccountSendingEnabledResponse(enabled=False)
    assert result("GetAccountSendingEnabled", enabled) == "<Enabled>false</Enabled>"


def test_timestamps_show_milliseconds_only_where_there_are_some() -> None:
    points = g.GetSendStatisticsResponse(
        send_data_points=(
            g.SendDataPoint(timestamp_ms=1_714_641_330_000, delivery_attempts=3),
            g.SendDataPoint(timestamp_ms=1_714_641_330_007),
        )
    )
    assert result("GetSendStatistics", points) == (
        "<SendDataPoints><member><Timestamp>2024-05-02T09:15:30Z</Timestamp><DeliveryAttempts>3</DeliveryAttempts>"
        "</member><member><Timestamp>2024-05-02T09:15:30.007Z</Timestamp></member></SendDataPoints>"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<b>&\"'", "a<b>&\"'"),
        ("]]>", "]]>"),
        ("line\r\nline\ttab", "line\r\nline\ttab"),
        ("é😀", "é😀"),
        ("\x00\x0b\x1f", "\ufffd\ufffd\ufffd"),
        ("\ufffe\uffff\ud800", "\ufffd\ufffd\ufffd"),
    ],
)
def test_any_text_makes_well_formed_xml(text: str, shown: str) -> None:
    xml = render(g.SendEmailResponse(message_id=text), g.OPERATIONS["SendEmail"], RID)
    assert ElementTree.fromstring(xml).findtext(".//{*}MessageId") == shown
    xml = render_error(InvalidParameterValue(text), RID)
    assert ElementTree.fromstring(xml).findtext(".//{*}Message") == shown


def test_error_envelope() -> None:
    error = g.RuleSetDoesNotExistException("Rule set does not exist: nope", name="nope")
    assert render_error(error, RID).decode() == (
        f"<ErrorResponse{XMLNS}><Error><Type>Sender</Type><Code>RuleSetDoesNotExist</Code>"
        f"<Message>Rule set does not exist: nope</Message><Name>nope</Name></Error><RequestId>{RID}</RequestId>"
        "</ErrorResponse>"
    )


def test_our_own_fault_is_a_receiver_error() -> None:
    assert b"<Type>Receiver</Type><Code>InternalFailure</Code>" in render_error(InternalFailure(), RID)


def test_error_without_message_has_no_message_element() -> None:
    assert b"<Message" not in render_error(MalformedInput(), RID)
