"""The errors a caller can be answered with: the base, and the codes that every SES operation may use.

The 34 errors of the service model are generated beside these (``generated.py``). ``api`` shows an error as XML,
``smtp`` as a reply; nothing else may catch one just to go on. Wire codes, HTTP statuses and texts: the "Common errors"
page of the SES API reference, and answers seen on the live service where they are more exact.
"""

from collections.abc import Mapping
from typing import ClassVar


class ServiceError(Exception):
    """What the caller is told instead of a result.

    ``members`` are the extra elements that the service model gives to some errors, by their names on the wire
    (``Name``, ``TemplateName``); a member that is None is left out.
    """

    code: ClassVar[str] = "InternalFailure"
    http_status: ClassVar[int] = 400
    sender_fault: ClassVar[bool] = True
    """True: shown as ``Sender``, the caller's doing; False: ``Receiver``, ours."""

    def __init__(self, message: str = "", members: Mapping[str, str | None] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.members = {name: value for name, value in (members or {}).items() if value is not None}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class InvalidParameterValue(ServiceError):
    """A value is well formed and still not acceptable to the operation."""

    code = "InvalidParameterValue"


class InvalidParameterCombination(ServiceError):
    """Parameters that must not be given together."""

    code = "InvalidParameterCombination"


class MissingParameter(ServiceError):
    """The operation needs a parameter that the service model calls optional."""

    code = "MissingParameter"


class ValidationError(ServiceError):
    """The request breaks constraints of the service model; one error tells of all of them."""

    code = "ValidationError"

    @classmethod
    def of(cls, violations: list[str]) -> "ValidationError":
        """The error SES makes of these violations, in the order given."""
        count = len(violations)
        plural = "s" if count != 1 else ""
        return cls(f"{count} validation error{plural} detected: {'; '.join(violations)}")


class MalformedInput(ServiceError):
    """A value cannot be read as the type its parameter has: a number that is none, a list index out of range."""

    code = "MalformedInput"


class MalformedQueryString(ServiceError):
    """The form or query string itself is broken: a bad percent sign, bytes that are no UTF-8, too many parameters."""

    code = "MalformedQueryString"
    http_status = 404


class MissingAction(ServiceError):
    """No operation was named."""

    code = "MissingAction"

    def __init__(self, message: str = "The request is missing an action or a required parameter.") -> None:
        super().__init__(message)


class InvalidAction(ServiceError):
    """The operation named does not exist, or not in this version of the API."""

    code = "InvalidAction"


class Throttling(ServiceError):
    """Too many calls or too much mail. SES answers 400 as a fault of the sender, which is what SDKs retry on."""

    code = "Throttling"

    def __init__(self, message: str = "Rate exceeded") -> None:
        super().__init__(message)


class AccessDenied(ServiceError):
    """The caller is known and may not do this."""

    code = "AccessDenied"
    http_status = 403


class InvalidClientTokenId(ServiceError):
    """The access key, or its session token, is not known here."""

    code = "InvalidClientTokenId"
    http_status = 403

    def __init__(self, message: str = "The security token included in the request is invalid.") -> None:
        super().__init__(message)


class SignatureDoesNotMatch(ServiceError):
    """The signature is wrong, or made for another time, region or service."""

    code = "SignatureDoesNotMatch"
    http_status = 403

    def __init__(
        self,
        message: str = "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
    ) -> None:
        super().__init__(message)


class IncompleteSignature(ServiceError):
    """The signature lacks a part, or a part cannot be read."""

    code = "IncompleteSignature"


class MissingAuthenticationToken(ServiceError):
    """The request carries no signature at all."""

    code = "MissingAuthenticationToken"
    http_status = 403

    def __init__(self, message: str = "Request is missing Authentication Token") -> None:
        super().__init__(message)


class ExpiredToken(ServiceError):
    """Temporary credentials were used after their end."""

    code = "ExpiredToken"
    http_status = 403

    def __init__(self, message: str = "The security token included in the request is expired") -> None:
        super().__init__(message)


class RequestExpired(ServiceError):
    """A pre-signed request came after its end."""

    code = "RequestExpired"

    def __init__(self, message: str = "Request has expired") -> None:
        super().__init__(message)


class MethodNotAllowed(ServiceError):
    """The API is called with GET or POST."""

    code = "MethodNotAllowed"
    http_status = 405


class MalformedHttpRequest(ServiceError):
    """No HTTP request, or one that can be read in more than one way ("Common errors" of AWS's services)."""

    code = "MalformedHttpRequestException"


class RequestTimeout(ServiceError):
    """The request did not arrive whole in time."""

    code = "RequestTimeout"
    http_status = 408


class RequestHeadersTooLarge(ServiceError):
    """More headers than this service reads."""

    code = "RequestHeadersTooLarge"
    http_status = 431


class RequestEntityTooLarge(ServiceError):
    """The request is longer than this service reads."""

    code = "RequestEntityTooLarge"
    http_status = 413


class InternalFailure(ServiceError):
    """A bug, or something we depend on is broken; the log knows more under the same request id."""

    code = "InternalFailure"
    http_status = 500
    sender_fault = False

    def __init__(self, message: str = "We encountered an internal error. Please try again.") -> None:
        super().__init__(message)


class ServiceUnavailable(ServiceError):
    """Not now: starting, draining, or the database is away."""

    code = "ServiceUnavailable"
    http_status = 503
    sender_fault = False

    def __init__(self, message: str = "Service Unavailable") -> None:
        super().__init__(message)
