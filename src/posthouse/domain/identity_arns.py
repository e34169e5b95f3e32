"""ARNs of identities: how a caller names an identity of another account.

Source: API reference of SendEmail (SourceArn), for example ``arn:aws:ses:us-east-1:123456789012:identity/example.com``.
"""

import re
from typing import NamedTuple

from posthouse.domain.identities import candidates, key_of
from posthouse.domain.scope import Scope
from posthouse.model.errors import InvalidParameterValue

_IDENTITY_ARN = re.compile(r"arn:aws[a-z-]{0,20}:ses:([a-z0-9-]{1,30}):([0-9]{12}):identity/([!-~]{1,320})")
_SHOWN = 200


class IdentityArn(NamedTuple):
    """A well-formed ARN; whether its identity exists is another matter."""

    text: str
    """As the caller wrote it: what SES prints in AccessDenied."""
    scope: Scope
    name: str
    """The name under which the identity is kept."""

    def covers(self, address: str) -> bool:
        """Whether this identity, if there is one, is the address itself or a domain above it."""
        return self.name in map(key_of, candidates(address))


def identity_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:ses:{scope.region}:{scope.account}:identity/{name}"


def find_identity_arn(text: str) -> IdentityArn | None:
    """The ARN that `text` is; None where it is none of an identity."""
    found = _IDENTITY_ARN.fullmatch(text)
    return IdentityArn(text, Scope(found[2], found[1]), key_of(found[3])) if found else None


def parse_identity_arn(text: str) -> IdentityArn:
    """Raises InvalidParameterValue for anything that is no ARN of an identity. The text is ours: SES's is not known."""
    arn = find_identity_arn(text)
    if arn is None:
        shown = "".join(char if " " <= char <= "~" else "?" for char in text[:_SHOWN])
        raise InvalidParameterValue(f"Invalid identity ARN <{shown}>.")
    return arn
