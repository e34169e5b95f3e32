"""Mail as it lies in a bucket where a rule names a KMS key: encrypted here, before S3 sees it.

Source: "Amazon S3 client-side encryption", metadata of the second format, which the SES guide refers to ("Deliver to S3
bucket action"): AES-256-GCM under a data key that is used once, its tag of 128 bits behind the text; what it takes to
decrypt it stands in the metadata of the object, the data key sealed by KMS.
"""

import base64
import json
from collections.abc import Mapping

from posthouse.domain.scope import Scope

IV_BYTES = 12
KEY_BYTES = 32
TAG_BITS = 128


def encryption_context(scope: Scope, message_id: str, rule: str, key_arn: str) -> dict[str, str]:
    """What KMS is to know of a mail, and who asks it for the data key again must say. The names are those that key
    policies may ask for (developer guide, "Giving permissions")."""
    return {
        "aws:ses:message-id": message_id,
        "aws:ses:rule-name": rule,
        "aws:ses:source-account": scope.account,
        "kms_cmk_id": key_arn,
    }


def encrypt(content: bytes, data_key: bytes, iv: bytes) -> bytes:
    """The text with its tag. `data_key` and `iv`: for this mail alone."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(data_key).encrypt(iv, content, None)


def metadata(length: int, iv: bytes, sealed_key: bytes, context: Mapping[str, str]) -> dict[str, str]:
    """Of the object. `length`: of the mail as it was; `context`: what the data key was sealed with."""
    return {
        "x-amz-key-v2": base64.b64encode(sealed_key).decode("ascii"),
        "x-amz-iv": base64.b64encode(iv).decode("ascii"),
        "x-amz-cek-alg": "AES/GCM/NoPadding",
        "x-amz-wrap-alg": "kms",
        "x-amz-tag-len": str(TAG_BITS),
        "x-amz-unencrypted-content-length": str(length),
        "x-amz-matdesc": json.dumps(dict(context), separators=(",", ":")),
    }
