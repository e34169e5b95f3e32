"""The envelope sender: signed, and at the domain that the sender's identity asks for while DNS agrees."""

import msgspec
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.delivery.return_paths import ReturnPaths
from posthouse.domain.identities import Identity, MailFrom, Status
from posthouse.domain.messages import ContentKind, Direction, MessageFacts
from posthouse.domain.scope import Scope
from posthouse.mail import verp

KEY = b"k" * 32
ANN = Callers.ANN.scope
FACTS = MessageFacts(
    scope=ANN,
    message_id="0100018f3b2c4d5e-1a2b3c4d-1111-4222-a333-444455556666-000000",
    direction=Direction.OUT,
    accepted_ms=1,
    operation="SendEmail",
    source="Ann <ann@example.com>",
    from_domain="example.com",
    feedback_to="ann@example.com",
    subject="s",
    size=1,
    content_kind=ContentKind.RAW,
)


def from_(source: str, scope: Scope = ANN) -> MessageFacts:
    return msgspec.structs.replace(FACTS, source=source, scope=scope)


async def put(ses: Ses, name: str, mail_from: str, status: Status = Status.SUCCESS) -> None:
    setting = MailFrom(domain=mail_from, status=status)
    identity = Identity(name=name, status=Status.SUCCESS, requested_ms=1, mail_from=setting)
    async with ses.ctx.stores.records.transaction() as tx:
        await tx.identities.put(ANN, name, identity)


def paths_of(ses: Ses) -> ReturnPaths:
    return ReturnPaths(ses.ctx.stores.records, "posthouse.test", KEY)


async def test_the_default_is_the_regions_own_and_the_local_part_names_the_message() -> None:
    async with open_ses() as ses:
        paths = paths_of(ses)
        local, _, domain = (await paths.path_for(FACTS)).partition("@")
        assert domain == "us-east-1.posthouse.test"
        assert verp.read(local, KEY) == FACTS.message_id
        elsewhere = await paths.path_for(from_("ann@example.com", Callers.ANN_ELSEWHERE.scope))
        assert elsewhere.endswith("@eu-west-1.posthouse.test")


@pytest.mark.parametrize(
    ("source", "domain"),
    [
        ("Ann <ann@example.com>", "a.example.com"),
        ("ann@example.com", "a.example.com"),
        ("Bob <bob@example.com>", "d.example.com"),
        ("x@sub.example.com", "d.example.com"),
        ("x@example.org", "us-east-1.posthouse.test"),
    ],
)
async def test_the_most_specific_identity_decides(source: str, domain: str) -> None:
    async with open_ses() as ses:
        await put(ses, "example.com", "d.example.com")
        await put(ses, "ann@example.com", "a.example.com")
        assert (await paths_of(ses).path_for(from_(source))).endswith(f"@{domain}")


async def test_a_from_field_that_no_parameter_could_be_is_its_domains() -> None:
    async with open_ses() as ses:
        await put(ses, "example.com", "d.example.com")
        await put(ses, "ann@example.com", "a.example.com")
        path = await paths_of(ses).path_for(from_("Ann <bad> <ann@example.com"))
        assert path.endswith("@d.example.com")


async def test_a_custom_domain_is_used_only_while_its_set_up_is_whole() -> None:
    async with open_ses() as ses:
        paths = paths_of(ses)
        for status in Status:
            await put(ses, "example.com", "d.example.com", status)
            expected = "d.example.com" if status is Status.SUCCESS else "us-east-1.posthouse.test"
            assert (await paths.path_for(FACTS)).endswith(f"@{expected}"), status


async def test_another_accounts_identity_brings_its_own_mail_from_domain() -> None:
    async with open_ses() as ses:
        await put(ses, "example.com", "d.example.com")
        arn = f"arn:aws:ses:us-east-1:{ANN.account}:identity/example.com"
        by_bob = msgspec.structs.replace(FACTS, scope=Callers.BOB.scope)
        paths = paths_of(ses)
        assert (await paths.path_for(by_bob)).endswith("@us-east-1.posthouse.test")
        assert (await paths.path_for(msgspec.structs.replace(by_bob, source_arn=arn))).endswith("@d.example.com")
