"""`posthouse serve` as a process, and the verbs beside it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import processes
from tests.support.server import COMMAND, Server

ROLES = "api,smtp,mx"
"""Nobody delivers: what is sent stays in the queue, to be looked at."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server({"auth.mode": "strict"}, directory=tmp_path_factory.mktemp("server"))
    log = found.directory / "serve.log"
    found.pid = processes.start([*COMMAND, "serve", "--roles", ROLES], log, found.environment, found.directory)
    try:
        for port in (found.http, found.submission, found.inbound):
            processes.wait_for_port(port)
        found.get("/?Action=GetSendQuota")  # the ports are open before anybody answers
        yield found
    finally:
        found.close()


def told(server: Server, *words: str) -> str:
    done = server.cli(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def refused(server: Server, *words: str, status: int = 1) -> str:
    done = server.cli(*words)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_banner_is_printed_where_there_is_no_terminal(server: Server) -> None:
    text = (server.directory / "serve.log").read_text()
    assert f"AWS_ENDPOINT_URL_SES=http://127.0.0.1:{server.http}" in text
    assert f"127.0.0.1:{server.submission}" in text


@pytest.mark.parametrize("via", ["api", "smtp"])
def test_a_test_mail_goes_in_by_either_door(server: Server, via: str) -> None:
    told(server, "identity", "verify", "example.com")
    body = ("--text", "Grüße", "--html", "<p>Grüße")
    message_id = told(
        server, "send", "--from", "Änn <ann@example.com>" if via == "api" else "ann@example.com",
        "--to", "b@x.test", "--cc", "c@x.test", "--bcc", "d@x.test", "--subject", "Ünï", *body, "--via", via,
    )  # fmt: skip
    shown = json.loads(told(server, "message", "show", message_id, "--json"))
    assert shown["subject"] == "Ünï"
    assert sorted(each["recipient"] for each in shown["recipients"]) == ["b@x.test", "c@x.test", "d@x.test"]
    assert shown["operation"] == ("SendEmail" if via == "api" else "SMTP")


def test_an_identity_verified_beside_the_server_may_send_at_once(server: Server) -> None:
    mail = ("send", "--from", "a@fresh.test", "--to", "b@x.test")
    assert "not verified" in refused(server, *mail)
    assert "not verified" in refused(server, *mail, "--via", "smtp")
    told(server, "identity", "verify", "fresh.test")
    told(server, *mail)
    told(server, *mail, "--via", "smtp")


def test_an_account_paused_beside_the_server_may_not_send(server: Server) -> None:
    told(server, "identity", "verify", "example.com", "--account", "333333333333")
    told(server, "credentials", "create", "--account", "333333333333")
    mail = ("send", "--from", "a@example.com", "--to", "b@x.test", "--account", "333333333333")
    told(server, *mail)
    told(server, "account", "set", "--pause", "--account", "333333333333")
    assert "paused" in refused(server, *mail)


def test_created_credentials_open_both_doors_and_revoked_ones_none(server: Server) -> None:
    account = ("--account", "444444444444", "--region", "eu-west-1")
    told(server, "identity", "verify", "example.com", *account)
    key = json.loads(told(server, "credentials", "create", "--json", *account))
    keys = ("--access-key", key["access_key"], "--secret-key", key["secret_key"])
    mail = ("send", "--from", "a@example.com", "--to", "b@x.test", *account)
    told(server, *mail)
    told(server, *mail, *keys, "--via", "smtp")
    told(server, "credentials", "revoke", key["access_key"])
    assert "has no access key" in refused(server, *mail)
    assert "InvalidClientTokenId" in refused(server, *mail, *keys)
    assert "535" in refused(server, *mail, *keys, "--via", "smtp")


def test_nobody_listening_is_one_line(server: Server) -> None:
    port = processes.free_port()
    mail = ("send", "--from", "a@example.com", "--to", "b@x.test", "--endpoint")
    for scheme in ("http", "https", "smtp", "smtps"):
        assert "Connection refused" in refused(server, *mail, f"{scheme}://127.0.0.1:{port}")


def test_what_is_accepted_can_be_read_back_raw(server: Server) -> None:
    told(server, "identity", "verify", "example.com")
    message_id = told(server, "send", "--from", "a@example.com", "--to", "b@x.test", "--via", "smtp")
    done = subprocess.run(
        [*COMMAND, "message", "raw", message_id], env=server.environment, cwd=server.directory, capture_output=True
    )
    assert done.stdout.startswith(b"From: a@example.com\r\nTo: b@x.test\r\n")


def test_the_doctor_finds_the_server(server: Server) -> None:
    findings = json.loads(server.cli("doctor", "--json").stdout)
    ports = {each["check"]: each["text"] for each in findings if each["check"].endswith(" port")}
    assert len(ports) == 3
    assert all(text.endswith("is answered") for text in ports.values()), ports
    assert {each["state"] for each in findings if each["check"] in ("database", "data directory")} <= {"ok", "warn"}


def test_a_second_server_on_the_same_ports_is_one_line(server: Server) -> None:
    assert "cannot listen on 127.0.0.1" in refused(server, "serve", "--roles", ROLES)


def test_a_closed_pipe_is_no_trouble(server: Server) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "message", "list"],
        env=server.environment,
        cwd=server.directory,
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("starting", [True, False], ids=["while it starts", "once it serves"])
def test_a_server_ends_in_order_with_status_0(number: signal.Signals, starting: bool, tmp_path: Path) -> None:
    server = Server(directory=tmp_path)
    log = tmp_path / "serve.log"
    pid = processes.start([*COMMAND, "serve", "--roles", ROLES], log, server.environment, tmp_path)
    processes.wait_for_port(server.http)
    if not starting:
        server.get("/?Action=GetSendQuota")
    os.kill(pid, number)
    status = processes.reap(pid, 20)
    if status is None:
        processes.stop(pid)
    assert status == 0, log.read_text()
