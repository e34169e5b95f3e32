"""Signature Version 4: the published vectors, and every way to be refused."""

import hmac
from hashlib import sha256

import pytest

from posthouse.model.errors import (
    IncompleteSignature,
    InvalidClientTokenId,
    MissingAuthenticationToken,
    RequestExpired,
    ServiceError,
    SignatureDoesNotMatch,
)
from posthouse.wire.query import parse_form
from posthouse.wire.sigv4 import Request, SigningKeys, claimed_credential, fold, read, verify

# The test suite that AWS published: key, secret, time and scope are the same throughout.
SUITE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SUITE_MS = 1_440_938_160_000  # 2015-08-30T12:36:00Z
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth"
    "Ax7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY"
    "9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = "application/x-www-form-urlencoded"

# name: method, path, query, headers beside Host and X-Amz-Date, body, signature
VECTORS = {
    "get-vanilla": ("GET", "/", "", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-relative": ("GET", "/a/..", "", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-slash-dot": ("GET", "/./", "", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-slash": ("GET", "//", "", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-slashes": (
        "GET", "//example//", "", [], "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    "get-slash-pointless-dot": (
        "GET", "/./example", "", [], "", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    "get-unreserved": (
        "GET", f"/{UNRESERVED}", "", [], "", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": ("GET", "/ሴ", "", [], "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "get-vanilla-empty-query-key": (
        "GET", "/", "Param1=value1", [], "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-vanilla-query-order-key-case": (
        "GET", "/", "Param2=value2&Param1=value1", [], "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-unreserved": (
        "GET", "/", f"{UNRESERVED}={UNRESERVED}", [], "",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        "GET", "/", "ሴ=bar", [], "", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-header-key-duplicate": (
        "GET", "/", "", [("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")], "",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-order": (
        "GET", "/", "", [("my-header1", f"value{i}") for i in (4, 1, 3, 2)], "",
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    "get-header-value-trim": (
        "GET", "/", "", [("my-header1", " value1"), ("my-header2", ' "a   b   c"')], "",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": ("POST", "/", "", [], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": (
        "POST", "/", "Param1=value1", [], "", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "post-header-key-sort": (
        "POST", "/", "", [("my-header1", "value1")], "",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        "POST", "/", "", [("my-header1", "VALUE1")], "",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-sts-header-before": (
        "POST", "/", "", [("x-amz-security-token", TOKEN)], "",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "post-x-www-form-urlencoded": (
        "POST", "/", "", [("content-type", FORM)], "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-x-www-form-urlencoded-parameters": (
        "POST", "/", "", [("content-type", f"{FORM}; charset=utf8")], "Param1=value1",
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_published_vector_is_accepted(name: str) -> None:
    method, path, query, more, body, signature = VECTORS[name]
    headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"), *more]
    signed = ";".join(sorted({key for key, _ in headers}))
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"
    headers.append(("authorization", authorization))
    folded = fold((key.encode(), value.encode()) for key, value in headers)
    request = Request(method, path.encode(), query.encode(), folded, body.encode())
    token = dict(more).get("x-amz-security-token")
    verify(read(request), request, SUITE_SECRET, token, SUITE_MS, SigningKeys(), services=("service",))


# A request of our own, signed by a second, plain implementation.
SECRET = "secret-secret"
NOW_MS = 1_714_641_330_000
STAMP = "20240502T091530Z"
SCOPE = "20240502/us-east-1/ses/aws4_request"
BODY = b"Action=GetSendQuota&Version=2010-12-01"


def sign(canonical: str, stamp: str, scope: str) -> str:
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def signed_headers(
    headers: dict[str, str] | None = None,
    *,
    leave_out: str = "",
    stamp: str = STAMP,
    scope: str = SCOPE,
    body: bytes = BODY,
    body_hash: str | None = None,
) -> dict[str, str]:
    """The headers of a well signed POST; ``leave_out`` names one that is sent without being signed."""
    given = {"host": "localhost:8025", "x-amz-date": stamp, **(headers or {})}
    names = sorted(name for name in given if name != leave_out)
    lines = "".join(f"{name}:{given[name]}\n" for name in names)
    canonical = f"POST\n/\n\n{lines}\n{';'.join(names)}\n{body_hash or sha256(body).hexdigest()}"
    signature = sign(canonical, stamp, scope)
    given["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return given


def post(headers: dict[str, str], body: bytes = BODY) -> Request:
    return Request("POST", b"/", b"", {k.encode(): v.encode("latin-1") for k, v in headers.items()}, body)


def check(request: Request, *, token: str | None = None, now_ms: int = NOW_MS) -> None:
    claim = read(request)
    if claim.access_key != "AKID":  # the door finds no secret for any other
        raise InvalidClientTokenId
    verify(claim, request, SECRET, token, now_ms, SigningKeys())


def refused(request: Request, kind: type[ServiceError], *, token: str | None = None, now_ms: int = NOW_MS) -> str:
    with pytest.raises(ServiceError) as caught:
        check(request, token=token, now_ms=now_ms)
    assert type(caught.value) is kind
    return caught.value.message


MISMATCH = "The request signature we calculated does not match the signature you provided. "


def test_well_signed_request_passes_and_tells_its_claim() -> None:
    request = post(signed_headers())
    check(request)
    claim = read(request)
    assert (claim.access_key, claim.region, claim.service, claim.signed_ms) == ("AKID", "us-east-1", "ses", NOW_MS)


def test_service_may_be_email() -> None:
    check(post(signed_headers(scope="20240502/eu-west-1/email/aws4_request")))


def test_wrong_secret_is_refused() -> None:
    request = post(signed_headers())
    with pytest.raises(SignatureDoesNotMatch) as caught:
        verify(read(request), request, "other", None, NOW_MS, SigningKeys())
    assert caught.value.message.startswith(MISMATCH)
    assert caught.value.http_status == 403


def test_changed_body_is_refused() -> None:
    assert refused(post(signed_headers(), BODY + b"&X=1"), SignatureDoesNotMatch).startswith(MISMATCH)


def test_body_hash_is_never_taken_from_a_header() -> None:
    unsigned = signed_headers({"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, body_hash="UNSIGNED-PAYLOAD")
    refused(post(unsigned), SignatureDoesNotMatch)
    claimed = sha256(BODY).hexdigest()
    refused(post(signed_headers({"x-amz-content-sha256": claimed}), b"Action=Other"), SignatureDoesNotMatch)
    refused(post(signed_headers({"x-amz-content-sha256": "0" * 64})), SignatureDoesNotMatch)
    check(post(signed_headers({"x-amz-content-sha256": claimed})))


def test_host_must_be_signed() -> None:
    message = refused(post(signed_headers(leave_out="host")), SignatureDoesNotMatch)
    assert message == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."


@pytest.mark.parametrize("name", ["x-amz-date", "x-amz-security-token", "x-amz-anything"])
def test_every_amz_header_present_must_be_signed(name: str) -> None:
    request = post(signed_headers({name: STAMP}, leave_out=name))
    message = refused(request, SignatureDoesNotMatch, token=STAMP if "token" in name else None)
    assert message == f"'{name}' must be a 'SignedHeader' in the AWS Authorization."


def test_other_headers_need_not_be_signed() -> None:
    check(post({**signed_headers(), "user-agent": "x", "x-amzn-trace-id": "Root=1"}))


def test_signed_header_that_is_absent_is_refused() -> None:
    headers = signed_headers({"x-extra": "1"})
    del headers["x-extra"]
    refused(post(headers), SignatureDoesNotMatch)


@pytest.mark.parametrize("names", ["x-amz-date;host", "host;host;x-amz-date", "Host;x-amz-date", "host;;x-amz-date"])
def test_signed_headers_are_in_order_and_once(names: str) -> None:
    headers = signed_headers()
    headers["authorization"] = headers["authorization"].replace("host;x-amz-date", names)
    refused(post(headers), SignatureDoesNotMatch)


@pytest.mark.parametrize("minutes", [-15, -14, 0, 14, 15])
def test_clocks_may_stand_15_minutes_apart(minutes: int) -> None:
    check(post(signed_headers()), now_ms=NOW_MS + minutes * 60_000)


def test_old_signature_is_refused_with_both_times() -> None:
    message = refused(post(signed_headers()), SignatureDoesNotMatch, now_ms=NOW_MS + 15 * 60_000 + 1000)
    assert message == (
        "Signature expired: 20240502T091530Z is now earlier than 20240502T091531Z (20240502T093031Z - 15 min.)"
    )


def test_future_signature_is_refused_with_both_times() -> None:
    message = refused(post(signed_headers()), SignatureDoesNotMatch, now_ms=NOW_MS - 15 * 60_000 - 1000)
    assert message == (
        "Signature not yet current: 20240502T091530Z is still later than 20240502T091529Z (20240502T090029Z + 15 min.)"
    )


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("20240502/US_1/ses/aws4_request", "Credential should be scoped to a valid region, not 'US_1'."),
        ("20240502/us-east-1/s3/aws4_request", "Credential should be scoped to correct service: 'ses'."),
        (
            "20240502/us-east-1/ses/aws5_request",
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.",
        ),
        (
            "20240501/us-east-1/ses/aws4_request",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            "'20240501' != '20240502', from '20240502T091530Z'.",
        ),
        (
            "20240502//s3/aws4_request",
            "Credential should be scoped to a valid region, not ''. "
            "Credential should be scoped to correct service: 'ses'.",
        ),
    ],
)
def test_wrong_scope_is_refused_in_the_words_of_aws(scope: str, message: str) -> None:
    assert refused(post(signed_headers(scope=scope)), SignatureDoesNotMatch) == message


def test_session_token_must_be_the_credentials_own() -> None:
    with_token = post(signed_headers({"x-amz-security-token": "token"}))
    check(with_token, token="token")
    refused(with_token, InvalidClientTokenId, token="other")
    refused(with_token, InvalidClientTokenId, token=None)
    refused(post(signed_headers()), InvalidClientTokenId, token="token")


def test_request_without_signature_lacks_a_token() -> None:
    with pytest.raises(MissingAuthenticationToken):
        read(post({"host": "localhost"}))


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Basic dTpw", "Unsupported AWS 'algorithm': 'Basic'"),
        ("AWS4-HMAC-SHA1 Credential=a", "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'"),
        (
            "AWS4-HMAC-SHA256 ",
            "Authorization header requires 'Credential' parameter. "
            "Authorization header requires 'Signature' parameter. "
            "Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 ",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b'",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a, Credential=b",
            "Authorization header has more than one 'Credential'",
        ),
    ],
)
def test_unreadable_authorization_is_incomplete(authorization: str, message: str) -> None:
    request = post({"host": "h", "x-amz-date": STAMP, "authorization": authorization})
    assert refused(request, IncompleteSignature) == message


def test_the_authorization_header_of_an_sdk_is_repeated_whole() -> None:
    names = ";".join(("content-type", "host", *(f"x-amz-meta-{n}" for n in range(20)), "x-amz-date"))
    authorization = f"AWS4-HMAC-SHA256 Credential=AKID/20240502/us-east-1/ses/aws4_request, SignedHeaders={names}"
    request = post({"host": "h", "x-amz-date": STAMP, "authorization": authorization})
    assert refused(request, IncompleteSignature) == (
        f"Authorization header requires 'Signature' parameter. Authorization={authorization}"
    )


def test_authorization_without_any_date_is_incomplete() -> None:
    headers = signed_headers()
    del headers["x-amz-date"]
    message = refused(post(headers), IncompleteSignature)
    assert message.startswith(
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4"
    )


@pytest.mark.parametrize(
    "date",
    ["2024-05-02T09:15:30Z", "20240502", "20240532T091530Z", "20240502T091530Z ", "\u00b20240502T91530Z"],
)
def test_date_in_another_format_is_incomplete(date: str) -> None:
    message = refused(post({**signed_headers(), "x-amz-date": date}), IncompleteSignature)
    assert message == (
        f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def test_http_date_header_may_carry_the_time() -> None:
    names = "date;host"
    date = "Thu, 02 May 2024 09:15:30 GMT"
    canonical = f"POST\n/\n\ndate:{date}\nhost:h\n\n{names}\n{sha256(BODY).hexdigest()}"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, SignedHeaders={names}, Signature={sign(canonical, STAMP, SCOPE)}"
    )
    check(post({"host": "h", "date": date, "authorization": authorization}))
    refused(post({"host": "h", "date": "yesterday", "authorization": authorization}), IncompleteSignature)


def test_signature_is_lower_case_hex_only() -> None:
    headers = signed_headers()
    start, _, signature = headers["authorization"].rpartition("=")
    refused(post({**headers, "authorization": f"{start}={signature.upper()}"}), SignatureDoesNotMatch)
    refused(post({**headers, "authorization": f"{start}=é"}), SignatureDoesNotMatch)


def test_repeated_authorization_is_refused() -> None:
    headers = [(k.encode(), v.encode()) for k, v in signed_headers().items()]
    request = Request("POST", b"/", b"", fold([*headers, headers[-1]]), BODY)
    refused(request, IncompleteSignature)


def presigned(expires: str = "300", **more: str) -> str:
    """The query of a pre-signed GET."""
    parameters = {
        "Action": "GetSendQuota",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"AKID%2F{SCOPE.replace('/', '%2F')}",
        "X-Amz-Date": STAMP,
        "X-Amz-Expires": expires,
        "X-Amz-SignedHeaders": "host",
        **more,
    }
    query = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    canonical = f"GET\n/\n{query}\nhost:h\n\nhost\n{sha256(b'').hexdigest()}"
    return f"{query}&X-Amz-Signature={sign(canonical, STAMP, SCOPE)}"


def get(query: str) -> Request:
    return Request("GET", b"/", query.encode(), {b"host": b"h"}, b"")


def test_presigned_query_passes_until_its_end() -> None:
    request = get(presigned("3600"))
    check(request, now_ms=NOW_MS + 3_600_000)
    refused(request, RequestExpired, now_ms=NOW_MS + 3_600_001)
    refused(request, SignatureDoesNotMatch, now_ms=NOW_MS - 16 * 60_000)


def test_presigned_query_passes_in_another_spelling_of_the_same_meaning() -> None:
    check(get(presigned(Text="a%20b").replace("a%20b", "a+b")))
    check(get(presigned().replace("%2F", "%2f")))


def test_presigned_token_is_checked() -> None:
    request = get(presigned(**{"X-Amz-Security-Token": "token"}))
    check(request, token="token")
    refused(request, InvalidClientTokenId)


@pytest.mark.parametrize("name", ["X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Algorithm"])
def test_presigned_query_without_a_part_is_incomplete(name: str) -> None:
    message = refused(get(presigned().replace(name, "X-Amz-Else")), IncompleteSignature)
    assert message == f"AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."


def test_presigned_part_given_twice_is_incomplete() -> None:
    refused(get(presigned() + "&X-Amz-Date=" + STAMP), IncompleteSignature)


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "a", "1_0", "٣", "9" * 400])
def test_presigned_end_must_be_within_a_week(expires: str) -> None:
    refused(get(presigned(expires)), IncompleteSignature)


def test_claimed_credential_needs_no_valid_signature() -> None:
    headers = {"host": "h", "authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20240502/eu-west-1/ses/x"}
    assert claimed_credential(post(headers)) == ("123456789012", "eu-west-1")
    assert claimed_credential(get(presigned())) == ("AKID", "us-east-1")
    assert claimed_credential(post({"host": "h"})) is None
    assert claimed_credential(post({"host": "h", "authorization": "Bearer x"})) is None


def test_signing_keys_are_kept_up_to_their_capacity() -> None:
    keys = SigningKeys(capacity=2)
    first = keys.derive("a", SCOPE)
    keys.derive("b", SCOPE)
    assert keys.derive("a", SCOPE) is first  # and now the latest used
    keys.derive("c", SCOPE)
    assert keys.derive("a", SCOPE) is first
    assert len(keys._keys) == 2


def test_every_byte_changed_in_a_signed_request_is_refused_or_means_the_same() -> None:
    headers = signed_headers({"content-type": FORM})
    original = post(headers)
    claim = read(original)
    check(original)
    for name, value in original.headers.items():
        for at in range(len(value)):
            for byte in b"aZ09 \t,;=/%.-":
                changed = value[:at] + bytes([byte]) + value[at + 1 :]
                if changed == value:
                    continue
                request = original._replace(headers=fold({**original.headers, name: changed}.items()))
                try:
                    check(request)
                except ServiceError:
                    continue
                assert read(request) == claim
                assert name == b"authorization" or changed.split() == value.split()
    for at in range(len(BODY)):
        for bit in range(8):
            changed = BODY[:at] + bytes([BODY[at] ^ 1 << bit]) + BODY[at + 1 :]
            refused(original._replace(body=changed), SignatureDoesNotMatch)


def test_every_byte_changed_in_a_presigned_query_is_refused_or_means_the_same() -> None:
    query = presigned(Subject="two%20words%26more%2Bplus")
    form = parse_form(query.encode())
    check(get(query))
    for at in range(len(query)):
        for letter in "aAfF09 +&=%/;.-_~":
            changed = query[:at] + letter + query[at + 1 :]
            try:
                check(get(changed))
                assert parse_form(changed.encode(), unique=True) == form
            except ServiceError:
                continue
