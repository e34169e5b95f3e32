"""RecordStore, SigningKeys and Credentials."""

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest
from tests.contract.conftest import Backend
from tests.contract.values import NOW_MS, OTHER_REGION, OURS, THEIRS

from posthouse.domain.accounts import Account
from posthouse.domain.configuration_sets import ConfigurationSet, Dimension, EventDestination
from posthouse.domain.identities import Dkim, Identity, Status
from posthouse.domain.policies import IdentityPolicies
from posthouse.domain.receipt_filters import Policy, ReceiptFilter
from posthouse.domain.receipt_rules import (
    ACTIVE,
    S3,
    ActiveRuleSet,
    AddHeader,
    Bounce,
    Connect,
    Lambda,
    ReceiptRule,
    RuleSet,
    Sns,
    Stop,
    WorkMail,
)
from posthouse.domain.scope import Scope
from posthouse.domain.templates import ReplacedContent, Template, TemplateContent
from posthouse.domain.verification import VerificationContent, VerificationTemplate
from posthouse.ports.credentials import Credential
from posthouse.ports.records import SigningKey
from posthouse.ports.stores import StoreRefused
from posthouse.ports.wakeups import Topic
from posthouse.stores.open import SqlStores


def identity(name: str, status: Status = Status.SUCCESS) -> Identity:
    return Identity(name=name, status=status, requested_ms=NOW_MS, dkim=Dkim(tokens=("a", "b")))


def signing_key(token: str, domain: str = "example.com", scope: Scope = OURS) -> SigningKey:
    return SigningKey(
        scope=scope,
        domain=domain,
        token=token,
        algorithm="rsa-sha256",
        private_pem=b"-----BEGIN PRIVATE KEY-----very-private",
        public_record="v=DKIM1; p=abc",
        created_ms=NOW_MS,
    )


async def _put(stores: SqlStores, *names: str, scope: Scope = OURS) -> None:
    async with stores.records.transaction() as tx:
        for name in names:
            await tx.identities.put(scope, name, identity(name))


async def test_a_record_is_read_as_it_was_put(stores: SqlStores) -> None:
    async with stores.records.transaction() as tx:
        await tx.identities.put(OURS, "example.com", identity("example.com"))
        await tx.accounts.put(OURS, "", Account(sandbox=False, max_send_rate=2.5))
        assert await tx.identities.get(OURS, "example.com") == identity("example.com")
    async with stores.records.reading() as tx:
        assert await tx.identities.get(OURS, "example.com") == identity("example.com")
        assert await tx.accounts.get(OURS, "") == Account(sandbox=False, max_send_rate=2.5)
        assert await tx.identities.get(OURS, "") is None


async def test_putting_again_replaces(stores: SqlStores) -> None:
    await _put(stores, "a")
    async with stores.records.transaction() as tx:
        await tx.identities.put(OURS, "a", identity("a", Status.FAILED))
    async with stores.records.reading() as tx:
        assert await tx.identities.everywhere() == [(OURS, "a", identity("a", Status.FAILED))]


async def test_records_of_other_scopes_are_not_seen(stores: SqlStores) -> None:
    await _put(stores, "a")
    async with stores.records.transaction() as tx:
        for other in (OTHER_REGION, THEIRS):
            assert await tx.identities.get(other, "a") is None
            assert await tx.identities.get_many(other, ["a"]) == {}
            assert await tx.identities.page(other, "", 10) == []
            assert not await tx.identities.delete(other, "a")
        assert await tx.identities.get(OURS, "a") is not None


async def test_many_are_got_at_once(stores: SqlStores) -> None:
    names = [f"n{number}" for number in range(40)]
    await _put(stores, *names)
    async with stores.records.reading() as tx:
        assert list(await tx.identities.get_many(OURS, ["n1", "n3", "no", "n1", "n2"])) == ["n1", "n2", "n3"]
        assert len(await tx.identities.get_many(OURS, names)) == 40
        assert await tx.identities.get_many(OURS, []) == {}


async def test_pages_are_in_code_point_order(stores: SqlStores) -> None:
    names = ["Z", "_", "a", "a-b", "ab", "é", "ｚ", "\U0001f600"]
    await _put(stores, *reversed(names))
    await _put(stores, "m", scope=THEIRS)
    seen: list[str] = []
    async with stores.records.reading() as tx:
        while page := await tx.identities.page(OURS, seen[-1] if seen else "", 3):
            seen += [name for name, _ in page]
        assert [(scope, name) for scope, name, _ in await tx.identities.everywhere()][-1] == (THEIRS, "m")
    assert seen == names == sorted(names)


async def test_deleting_tells_whether_there_was_one(stores: SqlStores) -> None:
    await _put(stores, "a")
    async with stores.records.transaction() as tx:
        assert await tx.identities.delete(OURS, "a")
        assert not await tx.identities.delete(OURS, "a")


async def test_an_exception_undoes_everything(stores: SqlStores) -> None:
    await _put(stores, "a")
    before = await stores.records.version()
    with contextlib.suppress(KeyError):
        async with stores.records.transaction() as tx:
            await tx.identities.put(OURS, "b", identity("b"))
            await tx.identities.delete(OURS, "a")
            raise KeyError
    async with stores.records.reading() as tx:
        assert [name for name, _ in await tx.identities.page(OURS, "", 10)] == ["a"]
    assert await stores.records.version() == before


async def test_the_next_writer_is_not_held_up_by_a_cancelled_one(stores: SqlStores) -> None:
    inside = asyncio.Event()

    async def stuck() -> None:
        async with stores.records.transaction() as tx:
            await tx.identities.put(OURS, "stuck", identity("stuck"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await inside.wait()
    task.cancel()
    await _put(stores, "a")
    async with stores.records.reading() as tx:
        assert [name for name, _ in await tx.identities.page(OURS, "", 10)] == ["a"]


async def test_what_a_transaction_looked_at_stays_until_it_ends(shared: Backend) -> None:
    stores = [await shared.open(), await shared.open()]
    await _put(stores[0], "counter")

    async def count_up(store: SqlStores) -> None:
        async with store.records.transaction() as tx:
            seen = await tx.identities.get(OURS, "counter")
            assert seen is not None
            await asyncio.sleep(0)
            await tx.identities.put(OURS, "counter", identity(seen.name + "+"))
            await tx.identities.put(OURS, "counter", Identity(name=seen.name + "+", status=seen.status, requested_ms=0))

    await asyncio.gather(*(count_up(stores[n % 2]) for n in range(10)))
    async with stores[0].records.reading() as tx:
        record = await tx.identities.get(OURS, "counter")
    assert record is not None
    assert record.name == "counter" + "+" * 10


async def test_readers_see_what_was_committed_while_a_writer_is_at_work(stores: SqlStores) -> None:
    await _put(stores, "a")
    async with stores.records.transaction() as tx:
        await tx.identities.put(OURS, "b", identity("b"))
        async with stores.records.reading() as view:
            assert [name for name, _ in await view.identities.page(OURS, "", 10)] == ["a"]


async def test_a_view_stays_as_it_was_when_first_looked_at(stores: SqlStores) -> None:
    await _put(stores, "a")
    async with stores.records.reading() as view:
        assert await view.identities.get(OURS, "b") is None
        await _put(stores, "b")
        assert await view.identities.get(OURS, "b") is None


async def test_writing_through_a_view_is_refused(stores: SqlStores) -> None:
    with pytest.raises(Exception, match=r"read.?only"):
        async with stores.records.reading() as view:
            await view.identities.put(OURS, "a", identity("a"))
    await _put(stores, "b")


async def test_each_change_and_only_a_change_moves_the_version(stores: SqlStores, backend: Backend) -> None:
    seen = [await stores.records.version()]

    async def moved() -> bool:
        seen.append(await stores.records.version())
        return seen[-1] != seen[-2]

    await _put(stores, "a")
    assert await moved()
    assert backend.wakeups.notified == [Topic.RECORDS]
    async with stores.records.transaction() as tx:
        await tx.identities.delete(OURS, "none")
        await tx.identities.get(OURS, "a")
    assert not await moved()
    async with stores.records.transaction() as tx:
        await tx.signing_keys.add([signing_key("t")])
    assert await moved()
    await stores.credentials.add(Credential("AKIA1", "secret", OURS.account), NOW_MS)
    assert await moved()
    await stores.credentials.revoke("AKIA1")
    assert await moved()
    assert not await stores.credentials.revoke("AKIA1")
    assert not await moved()


async def test_the_version_moves_in_other_processes_too(shared: Backend) -> None:
    one, other = await shared.open(), await shared.open()
    before = await other.records.version()
    await _put(one, "a")
    async with asyncio.timeout(5):
        while await other.records.version() == before:
            await asyncio.sleep(0.02)


async def test_signing_keys_come_in_order_of_creation(stores: SqlStores) -> None:
    keys = [signing_key(token) for token in ("zz", "aa", "mm")]
    async with stores.records.transaction() as tx:
        await tx.signing_keys.add(keys)
        await tx.signing_keys.add([signing_key("other", domain="other.example"), signing_key("theirs", scope=THEIRS)])
        assert await tx.signing_keys.of(OURS, "example.com") == keys
        assert await tx.signing_keys.find("theirs") == signing_key("theirs", scope=THEIRS)
        assert await tx.signing_keys.find("none") is None
        renewed = msgspec.structs.replace(
            signing_key("aa"), private_pem=b"another", public_record="p=x", created_ms=NOW_MS + 1
        )
        await tx.signing_keys.replace(renewed)
        assert await tx.signing_keys.of(OURS, "example.com") == [keys[0], renewed, keys[2]]
        await tx.signing_keys.delete(OURS, "example.com")
        assert await tx.signing_keys.of(OURS, "example.com") == []
        assert await tx.signing_keys.find("aa") is None
        assert len(await tx.signing_keys.of(THEIRS, "example.com")) == 1


async def test_credentials_are_found_listed_and_revoked(stores: SqlStores) -> None:
    first = Credential("AKIA1", "secret/1", OURS.account)
    second = Credential("ASIA2", "s", OURS.account, session_token="token", expires_ms=NOW_MS, console=True)
    third = Credential("AKIA0", "s", THEIRS.account)
    for number, credential in enumerate((first, second, third)):
        await stores.credentials.add(credential, NOW_MS + number)
    assert await stores.credentials.find("ASIA2") == second
    assert await stores.credentials.find("asia2") is None
    assert await stores.credentials.all() == [first, second, third]
    assert await stores.credentials.all(OURS.account) == [first, second]
    assert await stores.credentials.revoke("AKIA1")
    assert await stores.credentials.find("AKIA1") is None
    assert await stores.credentials.all() == [second, third]


async def test_adding_an_access_key_again_replaces_its_secret(stores: SqlStores) -> None:
    for secret in ("old", "new"):
        await stores.credentials.add(Credential("AKIA1", secret, OURS.account), NOW_MS)
    assert [one.secret_key for one in await stores.credentials.all()] == ["new"]


def _all_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def test_secrets_do_not_stand_in_the_files(backend: Backend, request: pytest.FixtureRequest) -> None:
    stores = await backend.open()
    await stores.credentials.add(
        Credential("AKIAVISIBLE", "very-secret-key", OURS.account, session_token="very-secret-token"), NOW_MS
    )
    async with stores.records.transaction() as tx:
        await tx.signing_keys.add([signing_key("visible")])
    if backend.name == "postgres":
        written = _all_bytes(request.getfixturevalue("postgres_server").directory / "data" / "pg_wal")
    else:
        written = _all_bytes(stores.credentials._seal._key_file.parent)
    assert b"AKIAVISIBLE" in written
    for secret in (b"very-secret-key", b"very-secret-token", b"very-private"):
        assert secret not in written


async def test_another_master_key_is_told_plainly(shared: Backend) -> None:
    stores = await shared.open()
    await stores.credentials.add(Credential("AKIA1", "secret", OURS.account), NOW_MS)
    (shared.data_dir / "master.key").write_bytes(bytes(32))
    other = await shared.open()
    with pytest.raises(StoreRefused, match="AKIA1 was not sealed with the key in"):
        await other.credentials.find("AKIA1")


async def test_verification_templates_and_their_contents_are_kept(stores: SqlStores) -> None:
    template = VerificationTemplate(from_address="a@b.example", subject="Ünï", success_url="x", failure_url="y")
    content = VerificationContent("<p>\0 Ünï</p>" * 100_000)
    async with stores.records.transaction() as tx:
        await tx.verification_templates.put(OURS, "Welcome", template)
        await tx.verification_contents.put(OURS, "Welcome", content)
    async with stores.records.reading() as tx:
        assert await tx.verification_templates.page(OURS, "", 10) == [("Welcome", template)]
        assert await tx.verification_contents.get(OURS, "Welcome") == content


async def test_templates_and_their_contents_are_kept(stores: SqlStores) -> None:
    template = Template(created_ms=NOW_MS, content="0" * 64)
    content = TemplateContent(subject="Ünï \0", text=None, html="<p>\r\n</p>" * 50_000)
    async with stores.records.transaction() as tx:
        await tx.templates.put(OURS, "Welcome", template)
        await tx.template_contents.put(OURS, template.content, content)
        await tx.replaced_contents.put(OURS, "1" * 64, ReplacedContent(NOW_MS))
    async with stores.records.reading() as tx:
        assert await tx.templates.page(OURS, "", 10) == [("Welcome", template)]
        assert await tx.template_contents.get(OURS, template.content) == content
        assert await tx.replaced_contents.everywhere() == [(OURS, "1" * 64, ReplacedContent(NOW_MS))]


async def test_policies_are_kept_beside_their_identity(stores: SqlStores) -> None:
    policies = IdentityPolicies(documents={"a": '{"Statement":[]}', "b": '"é"'})
    async with stores.records.transaction() as tx:
        await tx.identities.put(OURS, "example.com", identity("example.com"))
        await tx.identity_policies.put(OURS, "example.com", policies)
    async with stores.records.reading() as tx:
        assert await tx.identity_policies.get(OURS, "example.com") == policies
        assert await tx.identity_policies.get(THEIRS, "example.com") is None
        assert await tx.identities.get(OURS, "example.com") == identity("example.com")


async def test_configuration_sets_are_kept_with_their_destinations(stores: SqlStores) -> None:
    plain = ConfigurationSet(created_ms=NOW_MS)
    full = ConfigurationSet(
        created_ms=NOW_MS,
        sending_enabled=False,
        reputation_metrics=True,
        fresh_start_ms=NOW_MS + 1,
        tls_policy="Require",
        redirect_domain="links.example.com",
        destinations=(
            EventDestination(name="topic", enabled=True, event_types=("send", "open"), sns_topic="arn:aws:sns:x"),
            EventDestination(name="stream", event_types=("click",), stream_arn="arn:s", role_arn="arn:r"),
            EventDestination(
                name="metric",
                event_types=("bounce",),
                dimensions=(Dimension(name="campaign", source="messageTag", default="none"),),
            ),
        ),
    )
    async with stores.records.transaction() as tx:
        await tx.configuration_sets.put(OURS, "plain", plain)
        await tx.configuration_sets.put(OURS, "full", full)
    async with stores.records.reading() as tx:
        assert await tx.configuration_sets.get(OURS, "plain") == plain
        assert await tx.configuration_sets.get(OURS, "full") == full


async def test_records_of_a_kind_are_counted_in_their_scope(stores: SqlStores) -> None:
    await _put(stores, "a", "b")
    await _put(stores, "c", scope=THEIRS)
    async with stores.records.transaction() as tx:
        assert await tx.identities.count(OURS) == 2
        assert await tx.identities.count(OTHER_REGION) == 0
        await tx.identities.delete(OURS, "a")
        assert await tx.identities.count(OURS) == 1
        assert await tx.accounts.count(OURS) == 0


async def test_receipt_rules_are_kept_with_every_kind_of_action(stores: SqlStores) -> None:
    actions = (
        AddHeader(name="X-A", value="é\t"),
        Bounce(reply_code="550", message="no", sender="a@b.example"),
        Connect(instance="i", role="r"),
        Lambda(function="f", invocation="RequestResponse"),
        S3(bucket="b", prefix="p/", kms_key="k", role="r", topic="t"),
        Sns(topic="t", encoding="Base64"),
        WorkMail(organization="o"),
        Stop(topic="t"),
    )
    rules = (
        ReceiptRule(name="all", enabled=True, tls_required=True, scan=True, recipients=(), actions=actions),
        ReceiptRule(name="none"),
    )
    rule_set = RuleSet(created_ms=NOW_MS, rules=rules)
    kept = ReceiptFilter(policy=Policy.BLOCK, cidr="0.0.0.0/0")
    async with stores.records.transaction() as tx:
        await tx.receipt_rule_sets.put(OURS, "inbound", rule_set)
        await tx.active_rule_sets.put(OURS, ACTIVE, ActiveRuleSet(name="inbound"))
        await tx.receipt_filters.put(OURS, "all", kept)
    async with stores.records.reading() as tx:
        assert await tx.receipt_rule_sets.get(OURS, "inbound") == rule_set
        assert await tx.active_rule_sets.everywhere() == [(OURS, ACTIVE, ActiveRuleSet(name="inbound"))]
        assert await tx.receipt_filters.get(OURS, "all") == kept
