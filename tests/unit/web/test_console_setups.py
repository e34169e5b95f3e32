"""The console's pages of what accounts set up: what they show, to whom, and what their forms do."""

import re
from urllib.parse import urlencode

import pytest
from tests.unit.web.asgi_client import Answer, Client
from tests.unit.web.conftest import HOME, NOW_MS, House
from tests.unit.web.furniture import TOPIC, furnish, happened
from tests.unit.web.test_console import PAYLOADS, check_harmless, tags_of

from posthouse.domain.accounts import Account
from posthouse.domain.events import Event, EventType
from posthouse.domain.identities import Identity, Notifications, Status
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageKey
from posthouse.ports.publications import Failure, Round, Routed
from posthouse.ports.topics import Notification
from posthouse.submission.facts import ACCOUNT
from posthouse.web.navigation import GROUPS

OTHER = Scope("210987654321", "us-east-1")
KEY = f"set:{HOME.account}:us-east-1:news:topic"
TELLS = '{"eventType":"Bounce","mail":{"messageId":"m","destination":["dana@mail.example"]}}'


def url(path: str, **query: str) -> str:
    return f"/console/{path}?{urlencode(query)}"


def named(path: str, name: str, scope: Scope = HOME) -> str:
    return url(path, scope=" ".join(scope), name=name)


async def publish(house: House, message: str, subject: str | None = None, account: str = HOME.account) -> None:
    given = Notification(message_id="id", subject=subject, message=message, published_ms=NOW_MS)
    assert await house.stores.topics.add(account, TOPIC, given, create=True)


async def fall_behind(house: House, key: str, owner: Scope = HOME, error: str = "refused", dead: bool = False) -> None:
    """A destination that waits for one event and has failed to be told."""
    await house.stores.events.append([Event(scope=owner, message_id="m", type=EventType.OPEN, at_ms=NOW_MS)])
    cursor = await house.stores.publications.cursor()
    routed = [Routed(key, owner, cursor.last_seq, MessageKey(owner, "m"))]
    assert await house.stores.publications.route(cursor.seq, cursor.last_seq, routed, NOW_MS)
    failed = [Failure(cursor.last_seq, NOW_MS, error)]
    give_up_ms = NOW_MS + 1 if dead else 0
    ended = Round(destination=key, at_ms=NOW_MS, failed=failed, failures=1, give_up_ms=give_up_ms)
    await house.stores.publications.settle(ended)


async def token(client: Client, path: str) -> str:
    found = tags_of(await client.page(path)).found
    return next(a["value"] for tag, a in found if tag == "input" and a.get("name") == "token") or ""


def words(answer: Answer) -> str:
    return re.sub(r"\s+", " ", tags_of(answer).words)


async def shown(client: Client, path: str) -> str:
    answer = await client.page(path)
    assert answer.status == 200, (path, answer.text)
    check_harmless(answer)
    return words(answer)


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_no_words_of_an_account_can_add_to_a_page(house: House, client: Client, payload: str) -> None:
    await furnish(house, payload, text=payload)
    await furnish(house, "plain", text=payload)
    await publish(house, TELLS.replace("dana@mail.example", payload.replace('"', "")), payload)
    await publish(house, payload)
    odd = f"set:{HOME.account}:us-east-1:news:x"
    await fall_behind(house, odd, error=payload, dead=True)
    async with house.stores.records.transaction() as tx:
        paused = Account().with_paused(True, NOW_MS, payload)
        await tx.accounts.put(HOME, ACCOUNT, paused)
    paths = ["sets", "templates", "rules", "filters", "suppression", "statistics", "destinations", "topics"]
    paths += [named(path, "plain").removeprefix("/console/") for path in ("set", "template", "rule-set")]
    paths += [url("template", scope=" ".join(HOME), name=payload).removeprefix("/console/")]
    paths += [url("topic", arn=TOPIC).removeprefix("/console/"), url("destination", key=odd).removeprefix("/console/")]
    paths += [url(path, q=payload).removeprefix("/console/") for path in ("suppression",)]
    paths += [url("trial", recipients=payload).removeprefix("/console/")]
    seen = [payload in tags_of(await client.page(f"/console/{path}")).words for path in paths]
    for path in paths:
        answer = await client.page(f"/console/{path}")
        assert answer.status == 200, path
        check_harmless(answer)
    # The payloads are there to be seen, as words.
    assert sum(seen) >= 8
    form = {"token": await token(client, named("template", "plain")), "data": payload}
    check_harmless(await client.form(named("template", "plain"), form))
    check_harmless(await client.form(url("suppression/add", q=payload), {**form, "address": payload}))


async def test_every_page_can_be_found_from_every_other(client: Client) -> None:
    """By its group in the bar, then in the row below."""
    first = tags_of(await client.page("/console/"))
    groups = {a["href"] or "" for tag, a in first.found if tag == "a" and (a.get("href") or "").startswith("/console/")}
    reached = set()
    for group in sorted(groups):
        links = [a for tag, a in tags_of(await client.page(group)).found if tag == "a"]
        assert group in [a["href"] for a in links if a.get("aria-current") == "page"]
        reached |= {a["href"] for a in links}
    assert {entry.path for each in GROUPS for entry in each.entries} <= reached


async def test_a_set_is_shown_with_its_destinations_and_rates(house: House, client: Client) -> None:
    await furnish(house, "news")
    await happened(house, EventType.SEND, 200, set_name="news")
    await happened(house, EventType.BOUNCE, 12, set_name="news")
    listed = await shown(client, "/console/sets")
    assert "news" in listed
    page = await client.page(named("set", "news"))
    assert "6.00 %" in words(page)
    assert "Under review" in words(page)
    assert "nothing told yet" in words(page)
    await fall_behind(house, KEY)
    told = await client.page(named("set", "news"))
    assert "failing" in words(told)
    assert url("destination", key=KEY) in [a.get("href") for _, a in tags_of(told).found]
    assert url("topic", arn=TOPIC, account=HOME.account) in [a.get("href") for _, a in tags_of(page).found]
    assert "200 sent" in page.text
    assert "200 sent" in (await client.page(named("set", "news") + "&span=24h")).text


async def test_statistics_are_of_the_account_that_is_picked(house: House, client: Client) -> None:
    await happened(house, EventType.SEND, 150, at_ms=NOW_MS - 3 * 24 * 60 * 60 * 1000)
    await happened(house, EventType.SEND, 7, scope=OTHER)
    assert "150 in all" in await shown(client, "/console/statistics")
    assert "0 in all" in await shown(client, "/console/statistics?span=24h")
    assert "7 in all" in await shown(client, url("statistics", scope=" ".join(OTHER)))


async def test_a_paused_account_says_why(house: House, client: Client) -> None:
    async with house.stores.records.transaction() as tx:
        paused = Account().with_paused(True, NOW_MS, "bounce rate 12.00 % of 100 recipients")
        await tx.accounts.put(HOME, ACCOUNT, paused)
    for path in ("/console/statistics", "/console/accounts"):
        assert "bounce rate 12.00 % of 100 recipients" in await shown(client, path)
    assert (await client.get("/api/v1/accounts")).json["accounts"][0]["paused_why"].startswith("bounce rate")


async def test_a_template_is_tried_in_a_form(house: House, client: Client) -> None:
    await furnish(house, "welcome")
    path = named("template", "welcome")
    form = {"token": await token(client, path), "data": '{"who": "<script>alert(1)</script>"}'}
    made = await client.form(path, form)
    check_harmless(made)
    assert "Hi <script>alert(1)</script> word" in words(made)
    frame = next(a for tag, a in tags_of(made).found if tag == "iframe")
    assert (frame["name"], frame["sandbox"]) == ("rendered", "allow-popups allow-popups-to-escape-sandbox")
    html = await client.form(named("template/html", "welcome"), form)
    assert html.text == '<base target="_blank"><p><script>alert(1)</script></p>word'
    assert html.header("content-security-policy").startswith("sandbox allow-popups")
    failed = await client.form(path, {**form, "data": "{}"})
    assert (failed.status, "who" in words(failed)) == (200, True)
    assert (await client.form(named("template/html", "welcome"), {**form, "data": "{}"})).status == 400
    assert (await client.form(path, {**form, "token": "x"})).status == 403
    assert (await client.form(named("template", "none"), form)).status == 404


async def test_addresses_are_suppressed_and_let_go_in_forms(house: House, client: Client) -> None:
    here = " ".join(HOME)
    given = {"token": await token(client, "/console/suppression")}
    added = await client.form(
        url("suppression/add", scope=here), {**given, "address": " Ann@a.example ", "reason": "COMPLAINT"}
    )
    assert (added.status, added.header("location")) == (303, url("suppression", scope=here))
    listed = await shown(client, url("suppression", scope=here, q="ANN"))
    assert "ann@a.example" in listed
    assert "Nobody here" in await shown(client, url("suppression", q="bob"))
    wrong = await client.form(url("suppression/add", scope=here), {**given, "address": "nobody"})
    assert (wrong.status, "Missing final" in words(wrong)) == (400, True)
    assert (await client.form(url("suppression/remove", scope=here), {"address": "ann@a.example"})).status == 403
    removed = await client.form(url("suppression/remove", scope=here), {**given, "address": "ann@a.example"})
    assert removed.status == 303
    assert (await client.form(url("suppression/remove", scope=here), {**given, "address": "a\0"})).status == 404
    assert "Nobody is suppressed" in await shown(client, "/console/suppression")


async def test_rules_are_shown_and_tried(house: House, client: Client) -> None:
    await furnish(house, "inbound")
    identity = Identity(name="shop.example", status=Status.SUCCESS, requested_ms=0)
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(HOME, "shop.example", identity)
    assert "active" in await shown(client, "/console/rules")
    assert "192.0.2.0/24" in await shown(client, "/console/filters")
    assert "X-Kept" in await shown(client, named("rule-set", "inbound"))
    found = await shown(client, url("trial", recipients="ann@shop.example vault@shop.example"))
    assert "keep applies ann@shop.example" in found
    assert "others does not apply" in found
    assert "530 5.7.0 Must issue a STARTTLS command first" in found


async def test_a_topic_shows_what_it_was_given(house: House, client: Client) -> None:
    await publish(house, "Successfully validated SNS topic for Amazon SES event publishing.")
    await publish(house, TELLS, "Amazon SES Email Event Notification")
    await publish(house, '{"mail":{"destination":7},"eventType":[]}')
    assert TOPIC in await shown(client, "/console/topics")
    page = await client.page(url("topic", arn=TOPIC))
    assert "Bounce to dana@mail.example" in words(page)
    assert "Successfully validated" in words(page)
    assert "/console/messages/m" in [a.get("href") for _, a in tags_of(page).found]
    assert "to dana@mail.example" in await shown(client, url("topic", arn=TOPIC, fragment="1"))
    assert (await client.page(url("topic", arn="none"))).status == 404


async def test_a_url_is_subscribed_to_a_topic_and_taken_off_again(house: House, client: Client) -> None:
    await publish(house, TELLS)
    path = url("topic", arn=TOPIC)
    given = {"token": await token(client, path), "endpoint": " https://u:p@hooks.example/sns ", "raw": "on"}
    done = await client.form(url("topic/subscribe", arn=TOPIC, account=HOME.account), given)
    assert (done.status, done.header("location")) == (303, url("topic", arn=TOPIC, account=HOME.account))
    page = await client.page(path)
    check_harmless(page)
    assert "https://hooks.example/sns" in words(page)
    assert "with login, message alone to be confirmed" in words(page)
    assert "u:p" not in page.text
    fields = [a for tag, a in tags_of(page).found if tag == "input"]
    name = next(a["value"] for a in fields if a.get("name") == "subscription") or ""
    wrong = await client.form(url("topic/subscribe", arn=TOPIC), {**given, "endpoint": "ftp://<b>"})
    check_harmless(wrong)
    assert (wrong.status, "no http:// or https:// URL" in words(wrong)) == (400, True)
    away = url("topic/unsubscribe", arn=TOPIC)
    assert (await client.form(away, {"subscription": name})).status == 403
    assert (await client.form(away, {**given, "subscription": "a\0"})).status == 404
    assert (await client.form(away, {**given, "subscription": name})).status == 303
    assert "Subscribers" not in await shown(client, path)


async def test_a_destination_that_fails_is_shown_and_told_again(house: House, client: Client) -> None:
    await furnish(house, "news")
    await fall_behind(house, KEY, dead=True)
    listed = await shown(client, "/console/destinations")
    assert "news / topic" in listed
    assert "failing refused" in listed
    path = url("destination", key=KEY)
    assert "Try all of them again" in await shown(client, path)
    given = {"token": await token(client, path)}
    assert (await client.form(path, given)).status == 303
    assert (await house.stores.publications.totals()).waiting == 1
    assert (await client.form(path, {**given, "from": "1"})).status == 303
    assert [each.after for each in await house.stores.publications.replays()] == [0]
    wrong = await client.form(path, {**given, "from": "x"})
    assert (wrong.status, "whole number" in words(wrong)) == (400, True)
    assert (await client.page(url("destination", key="none"))).status == 404


async def test_a_message_says_who_was_told_of_it(house: House, client: Client) -> None:
    await furnish(house, "news")
    sent = await house.send(b"Subject: x\r\n\r\n", configuration_set="news")
    events = [
        Event(scope=HOME, message_id=sent, type=type, at_ms=NOW_MS, configuration_set="news", detail={})
        for type in (EventType.SEND, EventType.SEND, EventType.BOUNCE, EventType.OPEN)
    ]
    await house.stores.events.append(events)
    seqs = [each.seq for each in await house.stores.events.of_message(HOME, sent)]
    publications = house.stores.publications
    routed = [Routed(KEY, HOME, seq, MessageKey(HOME, sent)) for seq in seqs[:2]]
    assert await publications.route(0, seqs[1], routed, NOW_MS)
    failed = [Failure(seqs[1], NOW_MS + 5000, "refused")]
    await publications.settle(Round(destination=KEY, at_ms=NOW_MS, sent=[seqs[0]], failed=failed, failures=1))
    [told] = (await client.get(f"/api/v1/messages/{sent}")).json["publications"]
    assert (told["destination"], told["name"], told["kind"], told["target"]) == (KEY, "news / topic", "SNS", TOPIC)
    assert told["last_error"] == "refused"
    # The bounce was not looked at yet; of openings this destination does not hear.
    assert [(each["type"], each["state"], each["attempts"]) for each in told["events"]] == [
        ("Send", "told", 0),
        ("Send", "waiting", 1),
        ("Bounce", "waiting", 0),
    ]
    assert "news / topic" in await shown(client, f"/console/messages/{sent}")


async def test_topics_of_whoever_lends_an_identity_are_not_shown_to_the_borrower(house: House) -> None:
    notifications = Notifications(bounce_topic=TOPIC)
    lent = Identity(name="shop.example", status=Status.SUCCESS, requested_ms=0, notifications=notifications)
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(OTHER, "shop.example", lent)
    sent = await house.send(
        b"Subject: x\r\n\r\n", source_arn=f"arn:aws:ses:us-east-1:{OTHER.account}:identity/shop.example"
    )
    await house.stores.events.append([Event(scope=HOME, message_id=sent, type=EventType.BOUNCE, at_ms=NOW_MS)])
    path = f"/api/v1/messages/{sent}"
    [told] = (await house.client().get(path)).json["publications"]
    assert told["name"] == "shop.example / Bounce"
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(**SIGNED_IN)
    assert (await client.get(path)).json["publications"] == []


SIGNED_IN = {"authorization": "Basic QUtJQU9ORTpzM2NyZXQ="}


async def test_nothing_of_another_account_is_shown_or_changed(house: House) -> None:
    await furnish(house, "theirs", OTHER, text="their words")
    await publish(house, TELLS, account=OTHER.account)
    key = f"set:{OTHER.account}:us-east-1:theirs:topic"
    await fall_behind(house, key, OTHER)
    await happened(house, EventType.SEND, 77, scope=OTHER)
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(**SIGNED_IN)
    for path in (
        "sets",
        "templates",
        "rules",
        "filters",
        "suppression",
        "statistics",
        "topics",
        "destinations",
        "trial",
    ):
        page = await shown(client, f"/console/{path}")
        assert "their" not in page, path
        assert OTHER.account not in page, path
        assert "77 in all" not in page
    theirs = {"scope": " ".join(OTHER)}
    for path in ("sets", "templates", "rules", "filters", "suppression", "statistics", "trial"):
        assert (
            await client.page(url(path, **theirs, **({"recipients": "a@b"} if path == "trial" else {})))
        ).status == 403
    for path in ("set", "template", "rule-set"):
        assert (await client.page(named(path, "theirs", OTHER))).status == 403
        assert (await client.page(named(path, "theirs"))).status == 404
    assert (await client.page(url("topic", arn=TOPIC))).status == 404
    assert (await client.page(url("destination", key=key))).status == 404
    given = {"token": await token(client, "/console/suppression"), "address": "a@b.example", "data": "{}"}
    for path in (
        url("suppression/add", **theirs),
        url("suppression/remove", **theirs),
        named("template", "theirs", OTHER),
    ):
        assert (await client.form(path, given)).status == 403, path
    assert (await client.form(url("destination", key=key), given)).status == 404
    their_topic = {"arn": TOPIC, "account": OTHER.account}
    assert (await client.page(url("topic", **their_topic))).status == 403
    for path in ("topic/subscribe", "topic/unsubscribe"):
        assert (await client.form(url(path, **their_topic), {**given, "endpoint": "https://x.example"})).status == 403
    assert await house.stores.suppressions.get(OTHER, "a@b.example") is None


async def test_what_is_signed_out_shows_nothing(house: House) -> None:
    client = house.client(login_required=True)
    for path in ("sets", "set", "templates", "template", "rules", "trial", "topics", "destinations", "statistics"):
        assert "/console/login" in (await client.page(f"/console/{path}")).header("location")
