"""No string of a caller becomes a header or a recipient that the caller did not name as such.

Every text parameter of SendEmail and SendRawEmail gets line ends, NULs, brackets and whole header lines; what is then
accepted is composed and read by a parser that is not ours.
"""

import asyncio
import base64
import email
import email.policy
import email.utils
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fuzz.inputs import inputs
from tests.support.context import Callers, Ses, open_ses

from posthouse.delivery.prepare import Ingredients, Origin, prepare
from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.messages import Draft, MessageFacts, StoredMessage
from posthouse.mail import headers, mailboxes
from posthouse.model.errors import InvalidParameterValue, ServiceError

COMPOSED = {
    *("from", "to", "cc", "reply-to", "subject", "mime-version", "content-type", "content-transfer-encoding", "date"),
    *("message-id", "x-ses-outgoing", "feedback-id"),
}
PARAMETERS = {
    "Source": "ann@example.com",
    "Destination.ToAddresses.member.1": "bob@example.net",
    "Destination.CcAddresses.member.1": "cc@example.net",
    "Destination.BccAddresses.member.1": "bcc@example.net",
    "ReplyToAddresses.member.1": "reply@example.org",
    "ReturnPath": "bounce@example.com",
    "Message.Subject.Data": "Hello",
    "Message.Subject.Charset": "UTF-8",
    "Message.Body.Text.Data": "Hi",
    "Message.Body.Text.Charset": "UTF-8",
    "Message.Body.Html.Data": "<p>Hi",
    "Message.Body.Html.Charset": "ISO-8859-1",
    "Tags.member.1.Name": "a",
    "Tags.member.1.Value": "b",
}
PIECES = (
    *("\r\n", "\n", "\r", "\0", "\x85", "\u2028", "\x0b", "\x0c", "\x1c", "\t", " ", "\r\n\r\n<b>"),
    *("\r\nBcc: evil@evil.example", "=?utf-8?q?=0D=0ABcc:_evil?=", "Evil: yes"),
    *("evil@evil.example", "<evil@evil.example>", ",", ";", ":", '"', "\\", "(", ")"),
    *("ann@example.com", "bob@example.net", "Ann <ann@example.com>", "é", "x"),
    *("\u212aoi8-r", "koi8-r", "utf-8", "rot13"),
)
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)
ORIGIN = Origin("posthouse.test", "192.0.2.1")


class Shop:
    """One memory store for all examples, in a loop of its own."""

    def __init__(self, runner: asyncio.Runner, ses: Ses) -> None:
        self.runner, self.ses = runner, ses

    def send(self, operation: str, parameters: dict[str, str]) -> tuple[StoredMessage, bytes] | None:
        """What was kept of it; None where it was refused, which is always right here."""
        return self.runner.run(self._send(operation, parameters))

    async def _send(self, operation: str, parameters: dict[str, str]) -> tuple[StoredMessage, bytes] | None:
        try:
            answer = await self.ses.call(operation, **parameters)
        except ServiceError:
            return None
        messages = self.ses.ctx.stores.messages
        stored = await messages.get(Callers.ANN.scope, answer.message_id)
        content = await messages.content(Callers.ANN.scope, answer.message_id)
        assert stored is not None
        assert content is not None
        return stored, content


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with asyncio.Runner() as runner:
        opened = open_ses()
        ses = runner.run(opened.__aenter__())
        for domain in ("example.com", "evil.example"):
            runner.run(ses.call("VerifyDomainIdentity", Domain=domain))
        yield Shop(runner, ses)
        runner.run(opened.__aexit__(None, None, None))


@settings(max_examples=inputs(400), deadline=None)
@given(name=st.sampled_from(sorted(PARAMETERS)), text=TEXTS)
@example(name="Message.Body.Text.Charset", text="\u212aoi8-r")
def test_no_parameter_of_send_email_makes_a_header_or_a_recipient(shop: Shop, name: str, text: str) -> None:
    taken = shop.send("SendEmail", {**PARAMETERS, name: text})
    if taken is None:
        return
    stored, content = taken
    leaving = prepared(stored.facts, content)
    assert_clean(leaving, COMPOSED)
    mail = parsed(leaving)
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    draft = msgspec.json.decode(content, type=Draft)
    written = [*draft.to, *draft.cc, *draft.bcc]
    assert len(stored.recipients) <= len(written) == 3
    assert all(any(each.recipient in one for one in written) for each in stored.recipients)
    for header in ("From", "To", "Cc", "Reply-To"):
        assert len(mail[header].addresses) == 1, mail[header]


@settings(max_examples=inputs(300), deadline=None)
@given(
    name=st.sampled_from(
        ["Source", "Destinations.member.1", "ReturnPathArn", "Tags.member.1.Name", "From", "To", "Subject"]
    ),
    text=TEXTS,
)
def test_no_parameter_of_send_raw_email_makes_a_header_or_a_recipient(shop: Shop, name: str, text: str) -> None:
    fields = {"From": "ann@example.com", "To": "bob@example.net", "Subject": "x"}
    parameters = {"Source": "ann@example.com", "Destinations.member.1": "bob@example.net"}
    (fields if name in fields else parameters)[name] = text
    if name.startswith("Tags"):
        parameters["Tags.member.1.Value"] = "v"
    raw = "".join(f"{key}: {value}\r\n" for key, value in fields.items()) + "\r\nbody\r\n"
    taken = shop.send("SendRawEmail", {**parameters, "RawMessage.Data": base64.b64encode(raw.encode()).decode()})
    if taken is None:
        return
    stored, content = taken
    leaving = prepared(stored.facts, content)
    assert [each.recipient for each in stored.recipients] == ["bob@example.net"] or name == "Destinations.member.1"
    assert len(stored.recipients) == 1
    assert not set("\r\n\0,<> ") & set(stored.recipients[0].recipient.replace('"', ""))
    assert_clean(leaving, None)
    # Not the modern reader of headers: it raises where an encoded word holds a line end.
    mail = email.message_from_bytes(leaving, policy=email.policy.compat32)
    authors = [address for _, address in email.utils.getaddresses(mail.get_all("From", [])) if address]
    assert {author.rpartition("@")[2] for author in authors} <= {"example.com", "evil.example"}
    assert len(authors) <= 1


def prepared(facts: MessageFacts, content: bytes) -> bytes:
    return prepare(Ingredients(facts=facts, content=content, keys=(), origin=ORIGIN, mail_from="")).content


def assert_clean(leaving: bytes, allowed: set[str] | None) -> None:
    assert b"\0" not in leaving
    bare = leaving.replace(b"\r\n", b"")
    assert b"\r" not in bare
    assert b"\n" not in bare
    names = [field.key.decode() for field in headers.read(leaving).fields]
    assert "bcc" not in names
    if allowed is not None:
        assert set(names) <= allowed
        assert len(names) == len(set(names))


def parsed(raw: bytes) -> Any:
    return email.message_from_bytes(raw, policy=email.policy.default)


PIECES = ["a", "b@c.d", "<a@b.c>", '"q"', '"a b"@c.d', "1.2", *'@"\\<>(),. \tä;:[]\r\n\0']


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
@settings(max_examples=2000, deadline=None)
def test_an_address_that_is_taken_is_the_only_one_that_its_header_is_read_as(text: str) -> None:
    try:
        taken = parse_mailbox(text)
    except InvalidParameterValue:
        return
    assert all(" " <= char <= "~" for char in taken.address)
    written = mailboxes.join([mailboxes.as_given(taken.text)], len("From: "))
    assert [mailbox.address for mailbox in mailboxes.parse(written)] == [taken.address]
