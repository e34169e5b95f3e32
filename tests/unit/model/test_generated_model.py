"""The generated model is fresh, complete, and carries the wire codes of SES."""

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.loaders import Loader
from tools import generate_model

from posthouse.model import errors, generated
from posthouse.model.generated import OPERATIONS

SERVICE = Loader().load_service_model("ses", "service-2")
WITHOUT_RESULT = {
    "CreateCustomVerificationEmailTemplate",
    "DeleteCustomVerificationEmailTemplate",
    "DeleteVerifiedEmailAddress",
    "UpdateAccountSendingEnabled",
    "UpdateConfigurationSetReputationMetricsEnabled",
    "UpdateConfigurationSetSendingEnabled",
    "UpdateCustomVerificationEmailTemplate",
    "VerifyEmailAddress",
}
KEEPS_EXCEPTION = {
    "AccountSendingPausedException",
    "ConfigurationSetSendingPausedException",
    "MailFromDomainNotVerifiedException",
    "TrackingOptionsAlreadyExistsException",
    "TrackingOptionsDoesNotExistException",
}
MODELLED = {k.__name__: k for k in errors.ServiceError.__subclasses__() if k.__module__ == generated.__name__}


def test_generator_gives_the_committed_bytes() -> None:
    text = generate_model.Generator(generate_model.load_model()).text()
    assert generate_model.TARGET.read_bytes() == text.encode()


def test_check_flag_accepts_the_committed_file() -> None:
    tool = Path(generate_model.__file__)
    assert subprocess.run([sys.executable, str(tool), "--check"], check=False).returncode == 0


def test_check_flag_refuses_an_edited_file(tmp_path, monkeypatch) -> None:
    edited = tmp_path / "generated.py"
    edited.write_text(generate_model.TARGET.read_text() + "\n")
    monkeypatch.setattr(generate_model, "TARGET", edited)
    monkeypatch.setattr(sys, "argv", ["generate_model", "--check"])
    assert generate_model.main() == 1


def test_there_are_exactly_the_71_operations_of_the_service_model() -> None:
    assert len(OPERATIONS) == 71
    assert set(OPERATIONS) == set(SERVICE["operations"])
    assert all(name == operation.name for name, operation in OPERATIONS.items())


def test_eight_operations_have_no_result_element() -> None:
    assert {name for name, operation in OPERATIONS.items() if operation.result_wrapper is None} == WITHOUT_RESULT
    others = {n: o for n, o in OPERATIONS.items() if n not in WITHOUT_RESULT}
    assert all(operation.result_wrapper == f"{name}Result" for name, operation in others.items())


def test_every_operation_has_its_own_request_and_response_type() -> None:
    ends = [end for operation in OPERATIONS.values() for end in (operation.request, operation.response)]
    assert len(set(ends)) == 142


def test_declared_errors_are_those_of_the_service_model() -> None:
    for name, operation in OPERATIONS.items():
        declared = [error["shape"] for error in SERVICE["operations"][name].get("errors", [])]
        assert [error.__name__ for error in operation.errors] == declared


def test_wire_codes_come_from_the_model_and_five_keep_exception() -> None:
    assert len(MODELLED) == 34
    for name, kind in MODELLED.items():
        assert kind.code == SERVICE["shapes"][name]["error"]["code"]
        assert (kind.http_status, kind.sender_fault) == (400, True)
    assert {name for name, kind in MODELLED.items() if kind.code.endswith("Exception")} == KEEPS_EXCEPTION


def test_members_of_modelled_errors_go_by_their_wire_names() -> None:
    error = generated.EventDestinationDoesNotExistException("gone", configuration_set_name="set")
    assert error.members == {"ConfigurationSetName": "set"}
    assert str(error) == "EventDestinationDoesNotExist: gone"


@pytest.mark.parametrize(
    ("printed", "values"),
    [
        # Seen in answers of the live service: none is in the order of the documentation.
        ("Optional, Require", generated.TLS_POLICY),
        ("RejectMessage, UseDefaultValue", generated.BEHAVIOR_ON_MX_FAILURE),
        ("Base64, UTF-8", generated.SNS_ACTION_ENCODING),
        ("RequestResponse, Event", generated.INVOCATION_TYPE),
        ("Allow, Block", generated.RECEIPT_FILTER_POLICY),
        ("Domain, EmailAddress", generated.IDENTITY_TYPE),
        ("RuleSet", generated.STOP_SCOPE),
    ],
)
def test_enums_are_in_the_order_the_live_service_prints(printed: str, values: tuple[str, ...]) -> None:
    assert ", ".join(values) == printed


def test_a_long_enum_of_the_same_framework_confirms_the_order() -> None:
    # As DynamoDB prints its comparison operators.
    seen = "IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS"
    documented = "EQ, NE, IN, LE, BETWEEN, LT, GE, GT, CONTAINS, NOT_CONTAINS, NULL, NOT_NULL, BEGINS_WITH"
    assert ", ".join(generate_model.printed_order(documented.split(", "))) == seen


def test_values_cannot_be_changed() -> None:
    body = generated.Body(text=generated.Content(data="hello"))
    with pytest.raises(AttributeError):
        body.text = None


def test_required_members_cannot_be_left_out() -> None:
    with pytest.raises(TypeError):
        generated.SendEmailResponse()


@pytest.mark.parametrize(
    ("kind", "code", "status", "sender"),
    [
        (errors.InvalidParameterValue, "InvalidParameterValue", 400, True),
        (errors.MalformedQueryString, "MalformedQueryString", 404, True),
        (errors.Throttling, "Throttling", 400, True),
        (errors.AccessDenied, "AccessDenied", 403, True),
        (errors.InvalidClientTokenId, "InvalidClientTokenId", 403, True),
        (errors.SignatureDoesNotMatch, "SignatureDoesNotMatch", 403, True),
        (errors.IncompleteSignature, "IncompleteSignature", 400, True),
        (errors.MissingAuthenticationToken, "MissingAuthenticationToken", 403, True),
        (errors.ExpiredToken, "ExpiredToken", 403, True),
        (errors.RequestExpired, "RequestExpired", 400, True),
        (errors.InternalFailure, "InternalFailure", 500, False),
        (errors.ServiceUnavailable, "ServiceUnavailable", 503, False),
    ],
)
def test_common_errors_have_their_code_status_and_fault(kind, code, status, sender) -> None:
    assert (kind.code, kind.http_status, kind.sender_fault) == (code, status, sender)


@pytest.mark.parametrize(
    ("violations", "message"),
    [
        (["a"], "1 validation error detected: a"),
        (["a", "b"], "2 validation errors detected: a; b"),
    ],
)
def test_validation_error_lists_every_violation(violations: list[str], message: str) -> None:
    assert errors.ValidationError.of(violations).message == message
