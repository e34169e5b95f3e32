"""Signature Version 4 on the client's side, written for speed: whole HTTP requests to the SES API as bytes.

Source: "Signing AWS API requests". Shares no code with the server, so that an error in one shows in the other.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

_CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_SIGNED = "content-type;host;x-amz-date"


class Signer:
    """Signs for one access key, region and host. The date is that of its making: good for fifteen minutes."""

    def __init__(self, access_key: str, secret_key: str, host: str, region: str = "us-east-1") -> None:
        self._host = host
        self._stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{self._stamp[:8]}/{region}/ses/aws4_request"
        self._access_key = access_key
        self._key = f"AWS4{secret_key}".encode()
        for part in self._scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")

    def request(self, parameters: Mapping[str, str]) -> bytes:
        """A signed ``POST /`` with these parameters (Version is added)."""
        body = urlencode({"Version": "2010-12-01", **parameters}, quote_via=quote).encode()
        canonical = (
            f"POST\n/\n\ncontent-type:{_CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{self._stamp}\n\n"
            f"{_SIGNED}\n{hashlib.sha256(body).hexdigest()}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{self._stamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return (
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {_CONTENT_TYPE}\r\nX-Amz-Date: {self._stamp}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={self._access_key}/{self._scope}, SignedHeaders={_SIGNED}, "
            f"Signature={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


def smtp_password(secret_key: str, region: str = "us-east-1") -> str:
    """As the SES developer guide derives it ("converting existing AWS credentials")."""
    signature = f"AWS4{secret_key}".encode()
    for part in ("11111111", region, "ses", "aws4_request", "SendRawEmail"):
        signature = hmac.digest(signature, part.encode(), "sha256")
    return base64.b64encode(b"\x04" + signature).decode()
