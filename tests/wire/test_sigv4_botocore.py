"""What botocore signs we accept, in both forms, whatever the request holds."""

from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.wire.sigv4 import Request, SigningKeys, fold, read, verify

NOW = datetime(2024, 5, 2, 9, 15, 30, tzinfo=UTC)
NOW_MS = 1_714_641_330_000
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = SigningKeys()

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PARAMETERS = st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=4)
HEADERS = st.dictionaries(
    st.from_regex(r"x-(amz-)?test-[a-z0-9]{1,8}", fullmatch=True),
    st.text(" \tabcXYZ019,;:=\"'()é", max_size=20),
    max_size=4,
)


def received(signed: AWSRequest) -> Request:
    """As it comes out of an HTTP server."""
    prepared = signed.prepare()
    parts = urlsplit(prepared.url)
    headers = [(name.lower().encode(), as_bytes(value)) for name, value in prepared.headers.items()]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", parts.netloc.encode()))
    body = as_bytes(prepared.body or b"")
    return Request(prepared.method, parts.path.encode(), parts.query.encode(), fold(headers), body)


def as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def credentials(token: str | None) -> Credentials:
    return Credentials("AKIDEXAMPLE", SECRET, token)


@settings(max_examples=200, deadline=None)
@given(
    PARAMETERS,
    PARAMETERS,
    HEADERS,
    st.sampled_from(["POST", "GET"]),
    st.none() | st.just("token/+="),
    st.sampled_from(["us-east-1", "eu-central-2"]),
    st.sampled_from(["ses", "email"]),
    st.sampled_from(["/", "/a%20b/c"]),
)
def test_header_signatures_of_botocore_pass(form, query, headers, method, token, region, service, path) -> None:
    question = "?" + urlencode(query).replace("+", "%20") if query else ""
    request = AWSRequest(
        method=method, url=f"http://127.0.0.1:8025{path}{question}", headers=dict(headers), data=urlencode(form)
    )
    with patch("botocore.auth.get_current_datetime", return_value=NOW):
        SigV4Auth(credentials(token), service, region).add_auth(request)
    arrived = received(request)
    claim = read(arrived)
    verify(claim, arrived, SECRET, token, NOW_MS, KEYS)
    assert (claim.access_key, claim.region, claim.service) == ("AKIDEXAMPLE", region, service)


@settings(max_examples=200, deadline=None)
@given(PARAMETERS, st.none() | st.just("token/+="), st.integers(1, 604_800))
def test_presigned_queries_of_botocore_pass_until_their_end(form, token, expires) -> None:
    question = "?" + urlencode(form).replace("+", "%20") if form else ""
    request = AWSRequest(method="GET", url=f"http://localhost{'/'}{question}")
    with patch("botocore.auth.get_current_datetime", return_value=NOW):
        SigV4QueryAuth(credentials(token), "ses", "us-east-1", expires=expires).add_auth(request)
    arrived = received(request)
    claim = read(arrived)
    assert claim.presigned
    verify(claim, arrived, SECRET, token, NOW_MS + expires * 1000, KEYS)
