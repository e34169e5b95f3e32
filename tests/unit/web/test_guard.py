"""Who may pass: hosts, origins, logins."""

import base64
from dataclasses import replace

import pytest
from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import House

from posthouse.domain.scope import Scope
from posthouse.ports.credentials import Credential
from posthouse.web import sessions
from posthouse.web.guard import is_trusted_host

RAW = b"Subject: x\r\n\r\nhello"
OTHER = Scope("210987654321", "us-east-1")
GUARDED = (
    "/api/v1/messages",
    "/api/v1/nothing-here",
    "/console/",
    "/console/login",
    "/_aws/ses",
    "/api/v1/openapi.json",
)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8025",
        "LOCALHOST.:8025",
        "app.localhost",
        "127.0.0.1:8025",
        "[::1]:8025",
        "192.168.1.5",
        "posthouse:8025",
        "mail.example.org",
        "MAIL.example.org:443",
    ],
)
def test_hosts_that_no_stranger_can_point_here_are_trusted(host: str) -> None:
    assert is_trusted_host(host, frozenset({"mail.example.org"}))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8025",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "mail.example.org.evil",
        "localhost@evil.example",
        "evil.example/localhost",
        "localhost, evil.example",
        "999.1.1.1",
        "[evil.example]",
        "a b",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    assert not is_trusted_host(host, frozenset({"mail.example.org"}))


async def test_a_rebound_host_is_misdirected(client: Client) -> None:
    for path in GUARDED:
        answer = await client.get(path, host="evil.example:8025")
        assert answer.status in ((404,) if "nothing" in path else (421,))


async def test_strict_mode_goes_by_the_login_not_the_host(house: House) -> None:
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True)
    answer = await client.get("/api/v1/messages", host="any.example", authorization=basic("AKIAONE", "s3cret"))
    assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8025"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
async def test_pages_of_other_origins_change_nothing(house: House, client: Client, headers: dict[str, str]) -> None:
    message_id = await house.receive(RAW)
    assert (await client.request("DELETE", "/api/v1/messages", headers=headers)).status == 403
    assert (await client.request("DELETE", "/_aws/ses", headers=headers)).status == 403
    assert (await client.request("POST", f"/api/v1/queue/{message_id}/drop", headers=headers)).status == 403
    assert (await client.get(f"/api/v1/messages/{message_id}")).status == 200


async def test_our_own_pages_and_programs_may_change_things(house: House, client: Client) -> None:
    for headers in ({}, {"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": "http://127.0.0.1:8025"}):
        assert (await client.request("DELETE", "/api/v1/messages", headers=headers)).status == 200


async def test_long_bodies_are_refused(client: Client) -> None:
    assert (await client.request("DELETE", "/api/v1/messages", headers={"content-length": "65537"})).status == 413
    fields = {"access_key": "x" * 70000}
    assert (await client.form("/console/login", fields)).status == 413


async def test_strict_mode_asks_for_a_login(house: House) -> None:
    client = house.client(login_required=True)
    for path in ("/api/v1/messages", "/api/v1/openapi.json", "/api/v1/events", "/_aws/ses"):
        answer = await client.get(path)
        assert answer.status == 401
        assert answer.header("www-authenticate").startswith("Basic ")
    answer = await client.page("/console/queue")
    assert (answer.status, answer.header("location")) == (303, "/console/login?next=%2Fconsole%2Fqueue")


@pytest.mark.parametrize(
    "authorization",
    [
        basic("AKIAONE", "wrong"),
        basic("AKIAONE", ""),
        basic("", ""),
        basic("AKIATWO", "s3cret"),
        basic("AKIAAPI", "s3cret"),
        basic("AKIAOLD", "s3cret"),
        basic("AKIATEMP", "s3cret"),
        basic("a\x00b", "s3cret"),
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Bearer s3cret",
    ],
)
async def test_only_live_console_credentials_sign_in(house: House, authorization: str) -> None:
    now_ms = house.clock.at_ms
    await house.allow("AKIAONE", "s3cret")
    await house.allow("AKIAAPI", "s3cret", console=False)
    old = Credential("AKIAOLD", "s3cret", "123456789012", expires_ms=now_ms - 1, console=True)
    await house.stores.credentials.add(old, now_ms)
    temporary = replace(old, access_key="AKIATEMP", expires_ms=now_ms + 10**6, session_token="token")
    await house.stores.credentials.add(temporary, now_ms)
    client = house.client(login_required=True)
    assert (await client.get("/api/v1/messages", authorization=authorization)).status == 401


async def test_a_login_makes_a_session_and_revoking_ends_it(house: House) -> None:
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True)
    token = sessions.form_token(b"k" * 32, sessions.Viewer("", ""))
    fields = {"access_key": "AKIAONE", "secret_key": "s3cret", "token": token, "next": "/console/queue"}
    answer = await client.form("/console/login", fields)
    assert (answer.status, answer.header("location")) == (303, "/console/queue")
    cookie = answer.header("set-cookie")
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    signed_in = client.with_headers(cookie=cookie.partition(";")[0])
    assert (await signed_in.page("/console/queue")).status == 200
    house.clock.at_ms += sessions.LIFETIME_MS
    assert (await signed_in.page("/console/queue")).status == 303
    house.clock.at_ms -= sessions.LIFETIME_MS
    await house.stores.credentials.revoke("AKIAONE")
    assert (await signed_in.page("/console/queue")).status == 303


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/console/../../x y", "/\\evil.example", "/api/v1"]
)
async def test_a_login_leads_nowhere_else(house: House, target: str) -> None:
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True)
    token = sessions.form_token(b"k" * 32, sessions.Viewer("", ""))
    fields = {"access_key": "AKIAONE", "secret_key": "s3cret", "token": token, "next": target}
    assert (await client.form("/console/login", fields)).header("location") == "/console/"


async def test_a_wrong_secret_is_told_on_the_page(house: House) -> None:
    await house.allow("AKIAONE", "s3cret")
    token = sessions.form_token(b"k" * 32, sessions.Viewer("", ""))
    fields = {"access_key": "AKIAONE", "secret_key": "no", "token": token}
    answer = await house.client(login_required=True).form("/console/login", fields)
    assert answer.status == 401
    assert "do not fit" in answer.text
    assert not answer.header("set-cookie")


def test_a_session_cookie_cannot_be_made_or_changed() -> None:
    key, now_ms = b"k" * 32, 1_000_000
    cookie = sessions.cookie_for(key, "AKIAONE", now_ms)
    assert sessions.access_key_of(key, cookie, now_ms) == "AKIAONE"
    name, ends, mac = cookie.split(".")
    forged = [
        f"{name}.{int(ends) + 1}.{mac}",
        f"{sessions.cookie_for(key, 'AKIATWO', now_ms).split('.')[0]}.{ends}.{mac}",
        f"{name}.{ends}.{'0' * 64}",
        sessions.cookie_for(b"x" * 32, "AKIAONE", now_ms),
        "",
        "a.b.c",
        cookie + ".x",
    ]
    assert [sessions.access_key_of(key, each, now_ms) for each in forged] == [None] * len(forged)


async def test_a_form_without_its_token_does_nothing(house: House, client: Client) -> None:
    message_id = await house.receive(RAW)
    other = sessions.form_token(b"k" * 32, sessions.Viewer("AKIATWO", None))
    for token in ("", "x", other):
        assert (await client.form("/console/messages/delete-all", {"token": token})).status == 403
    sent = await client.request("POST", "/console/messages/delete-all", b"{}", {"content-type": "application/json"})
    assert sent.status == 415
    assert (await client.get(f"/api/v1/messages/{message_id}")).status == 200


async def test_no_account_sees_or_changes_another(house: House) -> None:
    await house.allow("AKIAONE", "s3cret")
    theirs = await house.receive(RAW, scope=OTHER)
    queued = await house.send(RAW, scope=OTHER)
    client = house.client(login_required=True).with_headers(authorization=basic("AKIAONE", "s3cret"))
    assert (await client.get("/api/v1/messages")).json["messages"] == []
    assert (await client.get("/api/v1/queue")).json["queue"] == []
    assert (await client.get("/_aws/ses")).json["messages"] == []
    assert (await client.get(f"/_aws/ses?id={queued}")).json["messages"] == []
    for query in ("?account=210987654321", "?account=210987654321&region=us-east-1"):
        for path in ("messages", "queue", "events", "identities", "accounts", "stats"):
            assert (await client.get(f"/api/v1/{path}{query}")).status == 403
    unknown = await client.get("/api/v1/messages/" + "x" * len(theirs))
    for path in (theirs, f"{theirs}/raw"):
        answer = await client.get(f"/api/v1/messages/{path}")
        assert (answer.status, answer.text.replace(theirs, "")) == (404, unknown.text.replace("x" * len(theirs), ""))
    assert (await client.request("DELETE", f"/api/v1/messages/{theirs}")).status == 404
    assert (await client.request("POST", f"/api/v1/queue/{queued}/drop")).status == 404
    await client.request("DELETE", "/api/v1/messages")
    await client.request("DELETE", f"/_aws/ses?id={theirs}")
    left = await house.stores.messages.find(theirs)
    assert left is not None
    accounts = (await client.get("/api/v1/accounts")).json["accounts"]
    assert {each["account"] for each in accounts} == {"123456789012"}
