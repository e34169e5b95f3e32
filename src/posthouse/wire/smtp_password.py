"""The SMTP password of an access key ("Obtaining Amazon SES SMTP credentials by converting existing AWS credentials").

The user name is the access key id. A password is good in one region only.
"""

import base64
import hmac
from collections.abc import Iterable

_VERSION = b"\x04"
# The date is part of the recipe, not of the day: passwords do not expire.
_SCOPE = (b"11111111",)
_REST = (b"ses", b"aws4_request", b"SendRawEmail")


def smtp_password(secret_key: str, region: str) -> str:
    """The password, as base64 text."""
    signature = b"AWS4" + secret_key.encode()
    for part in (*_SCOPE, region.encode(), *_REST):
        signature = hmac.digest(signature, part, "sha256")
    return base64.b64encode(_VERSION + signature).decode()


def region_of(password: str, secret_key: str, regions: Iterable[str]) -> str | None:
    """The region for which `password` was derived from `secret_key`; None where it is none of these.

    All regions are compared, in a time that tells nothing of how much of a password was right.
    """
    found = None
    given = password.encode(errors="surrogatepass")
    for region in regions:
        if hmac.compare_digest(given, smtp_password(secret_key, region).encode()):
            found = region
    return found
