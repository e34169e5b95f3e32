"""Whose world a call belongs to: every resource is keyed by (account, region) first."""

from dataclasses import dataclass
from typing import NamedTuple

REGIONS = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2"),
    *("ap-south-1", "ap-south-2", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
    *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-7"),
    *("me-south-1", "me-central-1", "il-central-1", "af-south-1", "us-gov-west-1", "us-gov-east-1"),
)
"""Regions that an SMTP password may have been derived for: the password itself does not name its region."""


class Scope(NamedTuple):
    """An account in a region. Nothing crosses it except by a sending-authorization policy."""

    account: str
    """Twelve digits, as AWS prints account ids."""
    region: str
    """For example ``us-east-1``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as far as the door could prove it."""

    scope: Scope
    access_key: str
    source_ip: str
    secure: bool = False
    """The request came over TLS, as far as the door itself could see."""
    user_agent: str = ""

    @property
    def arn(self) -> str:
        """The caller as IAM names it; SES prints it in its AccessDenied texts."""
        return f"arn:aws:iam::{self.scope.account}:user/{self.access_key}"
