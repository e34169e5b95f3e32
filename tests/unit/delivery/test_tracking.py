"""Tracking in mail as it leaves: when, under which name, the same again, and signed after it was put in."""

import base64
import re
from collections.abc import Mapping

import dkim as dkimpy
import pytest
from tests.support.context import Callers, Ses, open_ses
from tests.support.preparing import preparing

from posthouse.delivery.captured import CapturedMessages
from posthouse.delivery.key_ring import KeyRing
from posthouse.delivery.prepare import Origin
from posthouse.delivery.prepared import Prepared
from posthouse.delivery.set_options import SetOptions
from posthouse.delivery.tracking import TrackingLinks, base_url
from posthouse.domain.messages import RecipientState
from posthouse.domain.outcomes import reply_line
from posthouse.domain.routing import KEPT
from posthouse.mail.tracking_tokens import TrackedMail, TrackingTokens
from posthouse.ports.mailstore import ClaimedMessage, RecipientResult, Settlement
from posthouse.ports.records import SERVICE_SCOPE
from posthouse.upkeep.service_keys import ensure_service_keys

HTML = (
    '<p>Hi <a ses:tags="v:b;" href="https://a.example/?x=1&amp;y=2">there</a> '
    '<a ses:no-track href="https://u.example/">out</a></p>'
)
TOKENS = TrackingTokens(lambda: b"k" * 32)
LINKS = TrackingLinks(TOKENS, "https://mail.example.org/ses/")
CLICK, OPEN = re.compile(r'href="([^"]*)/t/c/([\w-]+)"'), re.compile(r'src="([^"]*)/t/o/([\w-]+)"')


async def create_set(ses: Ses, *event_types: str, enabled: bool = True, redirect_domain: str = "") -> None:
    await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
    if event_types:
        await ses.call("CreateConfigurationSetEventDestination", **destination(event_types, enabled))
    if redirect_domain:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        tracking = {"TrackingOptions__CustomRedirectDomain": redirect_domain}
        await ses.call("CreateConfigurationSetTrackingOptions", ConfigurationSetName="news", **tracking)


def destination(event_types: tuple[str, ...], enabled: bool) -> dict[str, str]:
    dimension = "EventDestination__CloudWatchDestination__DimensionConfigurations__member__1__"
    return {
        "ConfigurationSetName": "news",
        "EventDestination__Name": "d",
        "EventDestination__Enabled": "true" if enabled else "false",
        f"{dimension}DimensionName": "campaign",
        f"{dimension}DimensionValueSource": "messageTag",
        f"{dimension}DefaultDimensionValue": "none",
        **{f"EventDestination__MatchingEventTypes__member__{n}": each for n, each in enumerate(event_types, start=1)},
    }


async def send(ses: Ses, set_name: str = "news", html: str = HTML) -> ClaimedMessage:
    await ses.call("VerifyDomainDkim", Domain="example.com")
    await ses.call(
        "SendEmail",
        Source="ann@example.com",
        Destination__ToAddresses__member__1="bob@example.net",
        Message__Subject__Data="s",
        Message__Body__Html__Data=html,
        ConfigurationSetName=set_name,
    )
    return await claimed(ses)


async def send_raw(ses: Ses, raw: bytes) -> ClaimedMessage:
    await ses.call("VerifyDomainDkim", Domain="example.com")
    await ses.call("SendRawEmail", RawMessage__Data=base64.b64encode(raw).decode())
    return await claimed(ses)


async def claimed(ses: Ses) -> ClaimedMessage:
    (message,) = await ses.ctx.stores.queue.claim("worker", ses.clock.now_ms(), 60_000, 10)
    return message


async def prepared(ses: Ses, message: ClaimedMessage, links: TrackingLinks | None = LINKS) -> str:
    records = ses.ctx.stores.records
    await ensure_service_keys(records, "posthouse.test", ses.clock, ses.ctx.random)
    origin = Origin("posthouse.test", "127.0.0.1", links)
    async with preparing(ses, origin=origin, service_signature="auto") as preparer:
        made = await preparer(message)
    assert isinstance(made, Prepared)
    return made.content.decode()


async def test_links_and_pixel_stand_for_the_message_they_are_in() -> None:
    async with open_ses() as ses:
        await create_set(ses, "open", "click", "send")
        message = await send(ses)
        leaving = await prepared(ses, message)
    [(base, token)] = CLICK.findall(leaving)
    mail = TrackedMail(scope=Callers.ANN.scope, message_id=message.facts.message_id, configuration_set="news")
    link = TOKENS.read_clicked(token)
    assert base == "https://mail.example.org/ses"
    assert link is not None
    assert (link.mail, link.number, link.tags) == (mail, 1, (("v", "b"),))
    assert link.url == "https://a.example/?x=1&y=2"
    assert [TOKENS.read_opened(token) for _, token in OPEN.findall(leaving)] == [mail]
    assert '<a href="https://u.example/">out</a>' in leaving
    assert "ses:" not in leaving


async def test_a_message_prepared_again_is_the_same() -> None:
    async with open_ses() as ses:
        await create_set(ses, "open", "click")
        message = await send(ses)
        again = TrackingLinks(TrackingTokens(lambda: b"k" * 32), LINKS.public_url)
        assert await prepared(ses, message) == await prepared(ses, message, again)


@pytest.mark.parametrize(
    ("event_types", "enabled", "clicks", "opens"),
    [
        ((), True, 0, 0),
        (("send", "bounce"), True, 0, 0),
        (("open", "click"), False, 0, 0),
        (("open",), True, 0, 1),
        (("click",), True, 1, 0),
    ],
)
async def test_only_what_an_enabled_destination_asks_for_is_tracked(
    event_types: tuple[str, ...], enabled: bool, clicks: int, opens: int
) -> None:
    async with open_ses() as ses:
        await create_set(ses, *event_types, enabled=enabled)
        leaving = await prepared(ses, await send(ses))
    assert (len(CLICK.findall(leaving)), len(OPEN.findall(leaving))) == (clicks, opens)
    assert ("ses:no-track" in leaving) is not bool(clicks)


@pytest.mark.parametrize(("set_name", "links"), [("", LINKS), ("news", None)])
async def test_mail_without_a_set_or_where_tracking_is_off_is_untouched(
    set_name: str, links: TrackingLinks | None
) -> None:
    async with open_ses() as ses:
        await create_set(ses, "open", "click")
        assert HTML in await prepared(ses, await send(ses, set_name), links)


async def test_a_set_that_is_gone_tracks_nothing() -> None:
    async with open_ses() as ses:
        await create_set(ses, "open", "click")
        message = await send(ses)
        await ses.call("DeleteConfigurationSet", ConfigurationSetName="news")
        assert HTML in await prepared(ses, message)


async def test_links_stand_under_the_sets_own_domain() -> None:
    async with open_ses() as ses:
        await create_set(ses, "click", redirect_domain="clicks.example.com")
        leaving = await prepared(ses, await send(ses))
    assert [base for base, _ in CLICK.findall(leaving)] == ["https://clicks.example.com/ses"]


@pytest.mark.parametrize(
    ("public_url", "domain", "base"),
    [
        ("http://127.0.0.1:8025", None, "http://127.0.0.1:8025"),
        ("http://127.0.0.1:8025/", "clicks.shop.example", "http://clicks.shop.example:8025"),
        ("https://mail.example.org", "clicks.shop.example", "https://clicks.shop.example"),
        ("https://[::1]:8443/a/", "clicks.shop.example", "https://clicks.shop.example:8443/a"),
    ],
)
def test_a_redirect_domain_is_reached_as_the_public_url_is(public_url: str, domain: str | None, base: str) -> None:
    assert base_url(public_url, domain) == base


async def test_captured_mail_shows_its_tracked_links() -> None:
    async with open_ses() as ses:
        stores, scope = ses.ctx.stores, Callers.ANN.scope
        await create_set(ses, "open", "click")
        message_id = (await send(ses)).facts.message_id
        kept = RecipientResult("bob@example.net", RecipientState.DELIVERED, reply_line(KEPT))
        await stores.queue.settle([Settlement(scope, message_id, (kept,), ())])
        signing = (
            KeyRing(stores.records, "posthouse.test", "none"),
            SetOptions(stores.records),
            Origin("posthouse.test", "127.0.0.1", LINKS),
        )
        made = await CapturedMessages(stores.messages, lambda: signing).sent(scope, message_id)
    assert made is not None
    assert len(CLICK.findall(made.decode())) == len(OPEN.findall(made.decode())) == 1


async def public_keys(ses: Ses) -> Mapping[bytes, bytes]:
    async with ses.ctx.stores.records.reading() as reading:
        own = await reading.signing_keys.of(Callers.ANN.scope, "example.com")
        service = await reading.signing_keys.of(SERVICE_SCOPE, "posthouse.test")
    return {f"{key.token}._domainkey.{key.domain}.".encode(): key.public_record.encode() for key in (*own, *service)}


async def test_one_click_unsubscribe_leaves_untouched_and_signed_twice() -> None:
    """RFC 8058 section 4: a signature has to cover both fields; section 3.1: the URI is the sender's own."""
    unsubscribe = (
        "List-Unsubscribe: <https://shop.example/u?id=abc&t=1>,\r\n <mailto:u@shop.example>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    )
    raw = (
        f"From: ann@example.com\r\nTo: bob@example.net\r\nSubject: s\r\n{unsubscribe}"
        f"X-SES-CONFIGURATION-SET: news\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{HTML}\r\n"
    )
    async with open_ses() as ses:
        ses.clock.at_ms = 1_714_641_330_256  # no verifier takes a signature of the future
        await create_set(ses, "open", "click")
        leaving = await prepared(ses, await send_raw(ses, raw.encode()))
        keys = await public_keys(ses)
    assert unsubscribe in leaving
    assert "/t/c/" in leaving
    signatures = [
        re.sub(r"\s", "", value).lower() for value in re.findall(r"(?s)DKIM-Signature:(.*?)\n(?=\S)", leaving)
    ]
    names = [re.search(r";h=([^;]*)", value) for value in signatures]
    assert len(names) == 2
    for found in names:
        assert found is not None
        assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(found[1].split(":"))

    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        return keys.get(name)

    message = dkimpy.DKIM(leaving.encode())
    assert [message.verify(index, dnsfunc=dns) for index in range(2)] == [True, True]
    edited = dkimpy.DKIM(leaving.replace("One-Click", "Two-Click").encode())
    assert [edited.verify(index, dnsfunc=dns) for index in range(2)] == [False, False]
