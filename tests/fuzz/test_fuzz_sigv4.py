"""Hostile signatures: any bytes end in a refusal of the service, never in another error and never in acceptance."""

import random

from tests.fuzz.inputs import inputs

from posthouse.model.errors import ServiceError
from posthouse.wire.sigv4 import Request, SigningKeys, claimed_credential, fold, read, verify

ROUNDS = inputs(3000)
NOW_MS = 1_714_641_330_000
SCOPE = "AKID/20240502/us-east-1/ses/aws4_request"
HEADERS = [
    (b"host", b"localhost"),
    (b"x-amz-date", b"20240502T091530Z"),
    (b"x-amz-security-token", b"token"),
    (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
    (b"date", b"Thu, 02 May 2024 09:15:30 GMT"),
    (b"authorization", f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host;x-amz-date, Signature=00ff".encode()),
]
QUERY = (
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + SCOPE.replace("/", "%2F").encode() +
    b"&X-Amz-Date=20240502T091530Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=00ff&Action=SendEmail"
)  # fmt: skip


DIRT = [b"%", b"%zz", b"=", b"&", b";", b",", b"/", b"\xff", b" ", b"\xc2\xb2"]


def damaged(source: random.Random, raw: bytes) -> bytes:
    result = bytearray(raw)
    for _ in range(source.choice((0, 0, 1, 2, 8))):
        at = source.randrange(len(result) + 1)
        match source.randrange(4):
            case 0:
                result[at:at] = source.randbytes(source.randrange(4))
            case 1:
                del result[at : at + source.randrange(5)]
            case 2:
                result[at : at + 1] = source.choice(DIRT)
            case _:
                result[at:at] = result[: source.randrange(40)]
    return bytes(result)


def test_any_signature_ends_in_a_refusal() -> None:
    source = random.Random(4)
    keys = SigningKeys(capacity=8)
    for _ in range(ROUNDS):
        chosen = [pair for pair in HEADERS if source.random() < 0.7]
        headers = fold((name, damaged(source, value)) for name, value in chosen + chosen[: source.choice((0, 0, 1))])
        query = damaged(source, QUERY) if source.random() < 0.5 else b""
        path = damaged(source, b"/a/../b/./%2e")
        request = Request(source.choice(("GET", "POST")), path, query, headers, b"Action=SendEmail")
        claimed_credential(request)
        refusal = refused(source, request, keys)
        assert refusal is not None, f"accepted: {request}"
        assert len(refusal.message) < 4_000


def refused(source: random.Random, request: Request, keys: SigningKeys) -> ServiceError | None:
    try:
        claim = read(request)
        token = source.choice([None, claim.session_token])
        verify(claim, request, "secret", token, source.choice([0, NOW_MS]), keys)
    except ServiceError as error:
        return error
    return None
