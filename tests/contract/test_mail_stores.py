"""Where a WorkMail action delivers to: every implementation of the port."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.context import FixedClock
from tests.support.dovecot import Dovecot
from tests.support.sink import Sink

from posthouse.adapters.mail_servers import MailServer
from posthouse.adapters.maildir import Maildirs
from posthouse.adapters.network import SocketNetwork
from posthouse.adapters.resolver import DnsResolver
from posthouse.domain.routing import parse_relay
from posthouse.ports.mail_stores import MailboxRefused, MailStore, NotNow, Stored

HELP, SALES, NOBODY = "help@in.shop.example", "sales@in.shop.example", "nobody@in.shop.example"
MAIL = b"Return-Path: <a@partner.example>\r\nSubject: hello\r\n\r\nline one\r\n.dot\r\n\xc3\xbc\xff\r\n"


class Place(NamedTuple):
    store: MailStore
    read: Callable[[str], list[bytes]]
    """Of one recipient, lines ending in LF."""


def server(port: int, lmtp: bool, login: str = "") -> MailServer:
    resolver = DnsResolver(["127.0.0.1:1"], FixedClock())
    route = parse_relay(f"{'lmtp' if lmtp else 'smtp'}://{login}127.0.0.1:{port}")
    return MailServer(SocketNetwork(), resolver, route, "mx.posthouse.test")


def read_maildir(directory: Path, recipient: str) -> list[bytes]:
    name, _, domain = recipient.partition("@")
    return [path.read_bytes() for path in sorted((directory / domain / name / "new").glob("*"))]


@pytest.fixture(params=["maildir", "lmtp", "smtp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "maildir":
        yield Place(Maildirs(tmp_path), lambda recipient: read_maildir(tmp_path, recipient))
    elif request.param == "lmtp":
        with Dovecot(HELP, SALES) as dovecot:
            yield Place(server(dovecot.port, True), dovecot.mails)
    else:

        def read(recipient: str) -> list[bytes]:
            theirs = [each.content for each in sink.arrivals if recipient in each.rcpt_to]
            # A sink keeps mail as it is on the wire.
            return [b"\n" + each.replace(b"\r\n", b"\n").replace(b"\n..", b"\n.") for each in theirs]

        refused = {NOBODY: "550 5.1.1 no such user", "full@in.shop.example": "452 4.2.2 mailbox full"}
        with Sink(
            lambda stage, said: next((line for who, line in refused.items() if stage == "RCPT" and who in said), None)
        ) as sink:
            yield Place(server(sink.port, False), read)


async def test_each_recipient_finds_the_mail_as_it_was(place: Place) -> None:
    outcome = await place.store.deliver("m1", "a@partner.example", [HELP, SALES], MAIL)
    assert outcome == {HELP: Stored(), SALES: Stored()}
    for recipient in (HELP, SALES):
        [found] = place.read(recipient)
        assert found.endswith(b"\nSubject: hello\n\nline one\n.dot\n\xc3\xbc\xff\n")
        assert found.count(b"Return-Path:") <= 1
    await place.store.close()


async def test_a_null_sender_and_mail_that_comes_again(place: Place) -> None:
    for _ in range(2):
        assert await place.store.deliver("m1", "", [HELP], MAIL) == {HELP: Stored()}
    assert place.read(HELP)


async def test_a_refused_recipient_does_not_keep_others_from_it() -> None:
    with Dovecot(HELP) as dovecot:
        outcome = await server(dovecot.port, True).deliver("m1", "a@partner.example", [NOBODY, HELP], MAIL)
        assert isinstance(outcome[NOBODY], MailboxRefused)
        assert "5.1.1" in outcome[NOBODY].reason
        assert outcome[HELP] == Stored()
        assert len(dovecot.mails(HELP)) == 1


async def test_what_is_full_now_may_be_tried_again() -> None:
    with Sink(lambda stage, said: "452 4.2.2 full" if stage == "RCPT" and SALES in said else None) as sink:
        outcome = await server(sink.port, False).deliver("m1", "a@partner.example", [SALES, HELP], MAIL)
    assert outcome == {SALES: NotNow("452 4.2.2 full"), HELP: Stored()}


@pytest.mark.parametrize(
    ("stage", "answer"), [("connect", "554 go away"), ("MAIL", "451 4.3.0 later"), ("message", "421 4.3.2 closing")]
)
async def test_a_server_that_takes_nothing_now(stage: str, answer: str) -> None:
    with Sink(lambda at, _: answer if at == stage else None) as sink:
        outcome = await server(sink.port, False).deliver("m1", "a@partner.example", [HELP], MAIL)
    assert isinstance(outcome[HELP], NotNow)


async def test_a_server_that_cannot_be_logged_in_to() -> None:
    with Sink() as sink:
        outcome = await server(sink.port, False, "user:secret@").deliver("m1", "a@partner.example", [HELP], MAIL)
    assert outcome == {HELP: NotNow("454 4.7.0 Server offers neither AUTH PLAIN nor AUTH LOGIN")}


async def test_a_login_goes_along() -> None:
    login = b"AHVzZXIAc2VjcmV0"

    def answer(stage: str, said: str) -> str | None:
        if stage == "EHLO":
            return "250-sink\r\n250 AUTH PLAIN"
        return "235 2.7.0 ok" if stage == "AUTH" and login.decode() in said else None

    with Sink(answer) as sink:
        outcome = await server(sink.port, False, "user:secret@").deliver("m1", "a@partner.example", [HELP], MAIL)
    assert outcome == {HELP: Stored()}


async def test_a_server_that_is_not_there() -> None:
    with Sink() as sink:
        port = sink.port
    outcome = await server(port, True).deliver("m1", "a@partner.example", [HELP], MAIL)
    assert outcome == {HELP: NotNow("connection refused")}


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("help@in.shop.example", "in.shop.example/help"),
        ("Help@IN.Shop.example", "in.shop.example/help"),
        ("../../../etc/cron.d/x@in.shop.example", "in.shop.example/%2E.%2F..%2F..%2Fetc%2Fcron.d%2Fx"),
        ("..@..", "%2E%2E/%2E%2E"),
        (".@.", "%2E/%2E"),
        ("a/b@c/d", "c%2Fd/a%2Fb"),
        ('"a\0b"@in.shop.example', "in.shop.example/%22a%00b%22"),
        ("cur:2,@in.shop.example", "in.shop.example/cur%3A2,"),
        ("nodomain", "nodomain/%"),
    ],
)
async def test_no_address_leaves_its_directory(address: str, place: str, tmp_path: Path) -> None:
    store = Maildirs(tmp_path / "mail")
    assert store.place_of(address) == tmp_path / "mail" / place
    assert await store.deliver("m/../1", "", [address], MAIL) == {address: Stored()}
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]
    [found] = (tmp_path / "mail" / place / "new").iterdir()
    assert found.stat().st_mode & 0o077 == 0
    assert list((tmp_path / "mail" / place / "tmp").iterdir()) == []


async def test_a_maildir_has_each_message_once(tmp_path: Path) -> None:
    store = Maildirs(tmp_path)
    for content in (MAIL, MAIL, b"X: 1\r\n" + MAIL):
        await store.deliver("m1", "", [HELP], content)
    await store.deliver("m2", "", [HELP], MAIL)
    assert len(read_maildir(tmp_path, HELP)) == 2


async def test_an_address_too_long_for_a_directory_is_refused(tmp_path: Path) -> None:
    address = f"{'ü' * 60}@in.shop.example"
    assert isinstance((await Maildirs(tmp_path).deliver("m1", "", [address], MAIL))[address], MailboxRefused)


async def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "in.shop.example").write_text("in the way")
    assert isinstance((await Maildirs(tmp_path).deliver("m1", "", [HELP], MAIL))[HELP], NotNow)
