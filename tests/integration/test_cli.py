"""The verbs on a data directory of their own, without a server."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from posthouse.cli import main
from posthouse.cli.options import Invocation
from posthouse.cli.session import run
from posthouse.domain.scope import Caller
from posthouse.model.generated import Body, Content, Destination, Message, SendEmailRequest
from posthouse.operations.sending import send_email
from posthouse.wire.smtp_password import smtp_password

Cli = Callable[..., Result]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new one, in a directory without a configuration file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def cli(data_dir: Path) -> Cli:
    def call(*words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(main, [*words, "--data-dir", str(data_dir)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == status, done.output
        return done

    return call


def listed(cli: Cli, *words: str) -> Any:
    return json.loads(cli(*words, "--json").stdout)


def one_line(done: Result) -> str:
    """What went wrong: one line, and nothing on standard output."""
    assert done.stderr.startswith("posthouse: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.strip().removeprefix("posthouse: ")


def send(data_dir: Path, subject: str = "Hello", region: str = "us-east-1", to: tuple[str, ...] = ("b@x.test",)) -> str:
    """A message accepted, its id; nobody delivers it."""
    asked = Invocation(None, region, None, str(data_dir))
    message = Message(subject=Content(data=subject), body=Body(text=Content(data="Hi.")))
    request = SendEmailRequest(source="a@example.com", destination=Destination(to_addresses=to), message=message)
    caller = Caller(asked.scope, "AKIA", "192.0.2.1")
    return run(asked, lambda ctx: send_email(request, caller, ctx)).message_id


# -- where there is nothing yet


def test_a_look_into_the_wrong_directory_founds_no_installation(cli: Cli, data_dir: Path) -> None:
    for words in (["message", "list"], ["queue", "list"], ["identity", "list"], ["account", "show"]):
        assert "no database in" in one_line(cli(*words, status=1))
    assert not data_dir.exists()


def test_migrate_makes_the_database_once(cli: Cli, data_dir: Path) -> None:
    assert "applied" in cli("migrate").stdout
    assert cli("migrate").stdout == "The schema is up to date.\n"
    assert data_dir.stat().st_mode & 0o077 == 0


def test_a_database_of_a_newer_version_is_left_alone(cli: Cli, data_dir: Path) -> None:
    cli("migrate")
    with sqlite3.connect(data_dir / "posthouse.db") as connection:
        connection.execute("INSERT INTO schema_version VALUES (9999, 'tomorrow', 0)")
    connection.close()
    assert "9999" in one_line(cli("identity", "list", status=1))
    assert "9999" in one_line(cli("migrate", status=1))


def test_a_database_that_does_not_answer_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_DATABASE__URL", "postgresql://127.0.0.1:1/posthouse")
    assert "PostgreSQL" in one_line(cli("identity", "list", status=1))
    assert "PostgreSQL" in one_line(cli("migrate", status=1))


def test_what_a_server_keeps_in_memory_cannot_be_looked_at(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_DATABASE__URL", "memory")
    assert "memory" in one_line(cli("identity", "verify", "example.com", status=1))
    assert "memory" in one_line(cli("migrate", status=1))


# -- identities


def test_an_identity_verified_on_the_operators_word_is_verified_at_once(cli: Cli) -> None:
    cli("identity", "verify", "Example.com", "ann@example.org")
    rows = listed(cli, "identity", "list")
    assert [(row["identity"], row["status"]) for row in rows] == [
        ("ann@example.org", "Success"),
        ("example.com", "Success"),
    ]
    shown = listed(cli, "identity", "show", "example.com")
    assert (shown["type"], shown["dkim"]["status"], len(shown["dkim"]["tokens"])) == ("Domain", "Success", 3)
    assert "DKIM signing  yes" in cli("identity", "show", "example.com").stdout


def test_an_identity_belongs_to_its_account_and_region(cli: Cli) -> None:
    cli("identity", "verify", "example.com", "--region", "eu-west-1", "--account", "222222222222")
    assert listed(cli, "identity", "list") == []
    everywhere = listed(cli, "identity", "list", "--all")
    assert [(row["account"], row["region"]) for row in everywhere] == [("222222222222", "eu-west-1")]
    assert "there is no identity example.com" in one_line(cli("identity", "show", "example.com", status=1))


def test_the_key_that_signs_is_rotated_and_the_next_one_renewed(cli: Cli) -> None:
    cli("identity", "verify", "example.com")
    dkim = listed(cli, "identity", "show", "example.com")["dkim"]
    one, two, _ = dkim["tokens"]
    assert dkim["signing"] == one
    assert cli("identity", "rotate", "example.com", "--new-key").stdout.startswith(f"{two} has a new key;")
    assert listed(cli, "identity", "show", "example.com")["dkim"] == dkim
    assert cli("identity", "rotate", "example.com").stdout == f"{two} signs for example.com from now on.\n"
    assert listed(cli, "identity", "show", "example.com")["dkim"] == {**dkim, "signing": two}
    assert one_line(cli("identity", "rotate", "x.test", status=1)) == "Domain x.test is not verified for DKIM signing."


def test_what_is_no_identity_is_refused(cli: Cli) -> None:
    assert "Invalid email address" in one_line(cli("identity", "verify", "a b@example.com", status=1))
    one_line(cli("identity", "verify", "no_dots", status=1))


def test_identities_are_listed_by_type_and_page(cli: Cli) -> None:
    cli("identity", "verify", "a@example.com", "b@example.com", "c@example.com", "example.org")
    assert [row["identity"] for row in listed(cli, "identity", "list", "--type", "domain", "--limit", "1")] == [
        "example.org"
    ]
    page = listed(cli, "identity", "list", "--type", "address", "--limit", "2", "--after", "a@example.com")
    assert [row["identity"] for row in page] == ["b@example.com", "c@example.com"]


def test_dns_lists_the_domains_records_and_the_keys_they_lead_to(cli: Cli) -> None:
    cli("identity", "verify", "example.com", "ann@example.com")
    records = listed(cli, "identity", "dns", "example.com")
    kinds = [(record["type"], record["name"]) for record in records]
    assert ("TXT", "_amazonses.example.com") in kinds
    cnames = {record["name"]: record["value"] for record in records if record["type"] == "CNAME"}
    keys = {record["name"]: record["value"] for record in records if record["purpose"] == "DKIM key"}
    assert len(cnames) == 3
    assert all(name.endswith("._domainkey.example.com") for name in cnames)
    assert set(cnames.values()) == set(keys)
    assert all(value.startswith("v=DKIM1;") for value in keys.values())
    zone = cli("identity", "dns", "example.com", "--zone").stdout.splitlines()
    assert len(zone) == len(records)
    assert cli("identity", "dns", "example.com").stdout.startswith("STATE ")
    assert "is an address" in one_line(cli("identity", "dns", "ann@example.com", status=1))
    cli("identity", "dns", "example.com", "--zone", "--json", status=2)


# -- accounts


def test_an_account_is_set_up_once(cli: Cli) -> None:
    made = listed(cli, "account", "create", "--account", "222222222222", "--sandbox", "--quota", "200", "--rate", "1")
    assert (made["account"], made["sandbox"], made["max_24_hour_send"], made["max_send_rate"]) == (
        "222222222222",
        True,
        200,
        1,
    )
    assert "already" in one_line(cli("account", "create", "--account", "222222222222", status=1))
    assert {row["account"] for row in listed(cli, "account", "list")} == {"123456789012", "222222222222"}
    assert [row["account"] for row in listed(cli, "account", "list", "--account", "222222222222")] == ["222222222222"]


def test_an_account_created_without_an_id_gets_one(cli: Cli) -> None:
    first, second = (listed(cli, "account", "create")["account"] for _ in range(2))
    assert first != second
    assert len(first) == 12


def test_what_is_set_holds_until_it_is_taken_back(cli: Cli) -> None:
    cli("account", "set", "--pause", "--quota", "unlimited", "--disable-sending")
    shown = listed(cli, "account", "show")
    assert (shown["paused"], shown["max_24_hour_send"], shown["sending_enabled"]) == (True, -1, False)
    assert "paused" in cli("account", "list").stdout
    cli("account", "set", "--resume", "--quota", "default", "--enable-sending")
    shown = listed(cli, "account", "show")
    assert (shown["paused"], shown["max_24_hour_send"], shown["sending_enabled"]) == (False, 50000, True)
    cli("account", "set", status=2)


# -- credentials


def test_secrets_are_shown_once_and_never_listed(cli: Cli) -> None:
    made = listed(cli, "credentials", "create", "--account", "222222222222", "--region", "eu-west-1", "--console")
    assert made["smtp_password"] == smtp_password(made["secret_key"], "eu-west-1")
    assert (made["smtp_user"], made["console"]) == (made["access_key"], True)
    [row] = listed(cli, "credentials", "list", "--account", "222222222222")
    assert row == {"access_key": made["access_key"], "account": "222222222222", "console": True, "expires_at": None}
    text = cli("credentials", "list", "--all").stdout
    assert made["access_key"] in text
    assert made["secret_key"] not in text


def test_the_table_of_new_credentials_has_everything(cli: Cli) -> None:
    text = cli("credentials", "create").stdout
    for part in ("Access key id", "Secret access key", "SMTP user", "SMTP password", "(for us-east-1)", "not shown"):
        assert part in text


def test_a_region_that_smtp_does_not_know_gets_no_smtp_password(cli: Cli) -> None:
    assert listed(cli, "credentials", "create", "--region", "moon-north-1")["smtp_password"] is None


def test_a_revoked_key_is_gone(cli: Cli) -> None:
    made = listed(cli, "credentials", "create")
    assert "there is no access key" in one_line(
        cli("credentials", "revoke", made["access_key"], "--account", "222222222222", status=1)
    )
    cli("credentials", "revoke", made["access_key"])
    assert made["access_key"] not in cli("credentials", "list", "--all").stdout
    one_line(cli("credentials", "revoke", made["access_key"], status=1))


def test_the_configured_key_is_not_revoked_behind_the_configurations_back(cli: Cli) -> None:
    cli("migrate")
    assert "auth.access_key" in one_line(cli("credentials", "revoke", "posthouse", status=1))


# -- messages and the queue


def test_messages_are_listed_newest_first_and_filtered(cli: Cli, data_dir: Path) -> None:
    cli("identity", "verify", "example.com")
    cli("identity", "verify", "example.com", "--region", "eu-west-1")
    first, second = send(data_dir, "One"), send(data_dir, "Two", to=("b@x.test", "c@x.test"))
    third = send(data_dir, "Three", region="eu-west-1")
    assert [row["message_id"] for row in listed(cli, "message", "list")] == [second, first]
    assert {row["message_id"] for row in listed(cli, "message", "list", "--all")} == {first, second, third}
    assert [row["subject"] for row in listed(cli, "message", "list", "--subject", "tw")] == ["Two"]
    assert [row["subject"] for row in listed(cli, "message", "list", "--recipient", "c@x.test")] == ["Two"]
    assert [row["subject"] for row in listed(cli, "message", "list", "--before", second)] == ["One"]
    assert [row["subject"] for row in listed(cli, "message", "list", "--limit", "1")] == ["Two"]
    assert listed(cli, "message", "list", "--since", "2100-01-01") == []
    assert listed(cli, "message", "list", "--direction", "in") == []
    assert listed(cli, "message", "list", "--status", "bounced") == []
    assert len(listed(cli, "message", "list", "--status", "queued", "--direction", "out")) == 2
    assert "b@x.test +1" in cli("message", "list").stdout
    cli("message", "list", "--since", "yesterday", status=2)


def test_show_finds_a_message_wherever_it_is(cli: Cli, data_dir: Path) -> None:
    cli("identity", "verify", "example.com", "--region", "eu-west-1")
    message_id = send(data_dir, region="eu-west-1")
    text = cli("message", "show", message_id).stdout
    for part in (message_id, "in eu-west-1", "waits for its first attempt", "b@x.test  queued", "Accepted"):
        assert part in text
    shown = listed(cli, "message", "show", message_id)
    assert shown["status"] == "queued"
    assert shown["timeline"][0]["title"] == "Accepted"
    assert "in us-west-2" in one_line(cli("message", "show", message_id, "--region", "us-west-2", status=1))
    one_line(cli("message", "show", "0100-nope", status=1))
    cli("message", "show", "no/such\nid", status=2)


def test_a_draft_has_no_bytes_yet(cli: Cli, data_dir: Path) -> None:
    cli("identity", "verify", "example.com")
    assert "composed at its first attempt" in one_line(cli("message", "raw", send(data_dir), status=1))


def test_dropped_recipients_leave_the_queue_and_the_log_says_so(cli: Cli, data_dir: Path) -> None:
    cli("identity", "verify", "example.com")
    message_id, other = send(data_dir, to=("b@x.test", "c@x.test")), send(data_dir)
    assert [row["recipient"] for row in listed(cli, "queue", "show", message_id)] == ["b@x.test", "c@x.test"]
    assert len(listed(cli, "queue", "list")) == 3
    assert [row["message_id"] for row in listed(cli, "queue", "list", "--after", f"{message_id} b@x.test")] == [
        message_id,
        other,
    ]
    assert "2 recipients due now" in cli("queue", "retry", message_id).stdout
    assert "2 recipients dropped" in cli("queue", "drop", message_id).stdout
    assert [row["message_id"] for row in listed(cli, "queue", "list")] == [other]
    assert [row["type"] for row in listed(cli, "message", "events", message_id)] == ["Dropped"]
    assert "Dropped" in cli("message", "events", message_id).stdout
    assert "nothing waits" in cli("queue", "drop", message_id, status=1).stderr
    assert "does not wait" in one_line(cli("queue", "show", message_id, status=1))


def test_nothing_is_dropped_where_one_of_the_ids_is_wrong(cli: Cli, data_dir: Path) -> None:
    cli("identity", "verify", "example.com")
    message_id = send(data_dir)
    one_line(cli("queue", "drop", message_id, "0100-nope", status=1))
    assert len(listed(cli, "queue", "list")) == 1


def test_the_queue_of_another_account_is_not_shown(cli: Cli, data_dir: Path) -> None:
    cli("identity", "verify", "example.com")
    send(data_dir)
    assert listed(cli, "queue", "list", "--account", "222222222222") == []
    assert len(listed(cli, "queue", "list", "--account", "222222222222", "--all")) == 1
