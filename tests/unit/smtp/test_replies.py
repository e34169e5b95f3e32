"""Errors of the API as replies."""

from posthouse.model.errors import ServiceError
from posthouse.smtp.replies import accepted, of_error


def error(code: str, message: str, status: int = 400) -> ServiceError:
    made = type("Made", (ServiceError,), {"code": code, "http_status": status})
    return made(message)


def test_message_id_stands_right_behind_ok() -> None:
    assert accepted("0100abc-000000").render() == b"250 Ok 0100abc-000000\r\n"


def test_rejected_message() -> None:
    assert str(of_error(error("MessageRejected", "Email address is not verified."))) == (
        "554 Message rejected: Email address is not verified."
    )


def test_mail_from_domain_text_stands_alone() -> None:
    text = "MAIL FROM domain not verified: DNS setup for MAIL FROM domain is invalid."
    assert str(of_error(error("MailFromDomainNotVerifiedException", text))) == f"554 {text}"


def test_own_failure_is_temporary_and_tells_nothing() -> None:
    assert str(of_error(error("InternalFailure", "secret detail", 500))) == "451 4.0.0 Temporary service failure"
    assert of_error(error("ServiceUnavailable", "secret detail", 503)).code == 451


def test_endless_text_is_cut() -> None:
    assert len(of_error(error("MessageRejected", "x" * 100_000)).render()) < 1100
