"""Mail encrypted before S3 sees it: against the recorded metadata, and decrypted by hand."""

import base64
import json

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from posthouse.domain.scope import Scope
from posthouse.mail.envelope_encryption import IV_BYTES, KEY_BYTES, encrypt, encryption_context, metadata

SCOPE = Scope("111122223333", "eu-west-1")
ID = "k4t1q0b7m9vd2h5s8gj3c6n0rpe1fou7a2lbi8o1"
KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:alias/aws/ses"
RECORDED = {
    "x-amz-key-v2": "QlJPS0VOLVBMQUNFSE9MREVSLUVOQ1JZUFRFRC1EQVRBLUtFWQ==",
    "x-amz-iv": "AAECAwQFBgcICQoL",
    "x-amz-cek-alg": "AES/GCM/NoPadding",
    "x-amz-wrap-alg": "kms",
    "x-amz-tag-len": "128",
    "x-amz-unencrypted-content-length": "1873",
    "x-amz-matdesc": '{"aws:ses:message-id":"k4t1q0b7m9vd2h5s8gj3c6n0rpe1fou7a2lbi8o1",'
    '"aws:ses:rule-name":"help-desk","aws:ses:source-account":"111122223333",'
    '"kms_cmk_id":"arn:aws:kms:eu-west-1:111122223333:alias/aws/ses"}',
}


def test_the_metadata_is_that_of_ses() -> None:
    context = encryption_context(SCOPE, ID, "help-desk", KEY_ARN)
    assert metadata(1873, bytes(range(12)), b"BROKEN-PLACEHOLDER-ENCRYPTED-DATA-KEY", context) == RECORDED


def test_the_material_description_is_what_the_key_was_sealed_with() -> None:
    context = encryption_context(SCOPE, ID, 'odd"rule', KEY_ARN)
    assert json.loads(metadata(0, b"", b"", context)["x-amz-matdesc"]) == context


@pytest.mark.parametrize("content", [b"", b"mail", b"\0\xff" * 50_000])
def test_what_is_encrypted_is_decrypted_with_the_key_and_the_metadata_alone(content: bytes) -> None:
    key, iv = b"k" * KEY_BYTES, b"i" * IV_BYTES
    told = metadata(len(content), iv, b"sealed", {})
    encrypted = encrypt(content, key, iv)
    assert len(encrypted) == int(told["x-amz-unencrypted-content-length"]) + int(told["x-amz-tag-len"]) // 8
    assert AESGCM(key).decrypt(base64.b64decode(told["x-amz-iv"]), encrypted, None) == content


def test_what_was_touched_does_not_decrypt() -> None:
    encrypted = bytearray(encrypt(b"mail", b"k" * 32, b"i" * 12))
    encrypted[0] ^= 1
    with pytest.raises(InvalidTag):
        AESGCM(b"k" * 32).decrypt(b"i" * 12, bytes(encrypted), None)
