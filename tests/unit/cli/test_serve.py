"""What serve says and takes before any process starts."""

import resource
import socket
import threading

import pytest
from click.testing import CliRunner

from posthouse import serve
from posthouse.cli.banner import banner
from posthouse.cli.entry import main
from posthouse.cli.serve import with_bound_ports
from posthouse.config import ROLES, load
from posthouse.domain.scope import Scope
from posthouse.serve import MOST_FILES, bind, raise_file_limit
from posthouse.wire.smtp_password import smtp_password

DEFAULT = Scope("123456789012", "us-east-1")
SECRET = "posthouse-secret"


def said(environ: dict[str, str], roles: tuple[str, ...] = ROLES, scope: Scope = DEFAULT) -> str:
    return banner("1.2.3", load(None, environ), roles, scope)


def test_the_dev_profile_shows_all_that_an_sdk_needs() -> None:
    text = said({})
    for part in (
        "posthouse 1.2.3",
        "AWS_ENDPOINT_URL_SES=http://127.0.0.1:8025",
        "AWS_DEFAULT_REGION=us-east-1",
        f"AWS_ACCESS_KEY_ID=posthouse  AWS_SECRET_ACCESS_KEY={SECRET}",
        "127.0.0.1:1025",
        smtp_password(SECRET, "us-east-1"),
        "127.0.0.1:2525",
        "http://127.0.0.1:8025/console/",
        "posthouse-data",
        "captured",
    ):
        assert part in text


def test_production_shows_no_secret() -> None:
    configured = {"POSTHOUSE_AUTH__ACCESS_KEY": "operator", "POSTHOUSE_AUTH__SECRET_KEY": SECRET}
    text = said({"POSTHOUSE_PROFILE": "production", **configured})
    assert SECRET not in text
    assert smtp_password(SECRET, "us-east-1") not in text
    assert "to the MX of each recipient" in text


def test_a_relays_password_is_not_shown() -> None:
    relay = {"POSTHOUSE_DELIVERY__MODE": "relay", "POSTHOUSE_DELIVERY__RELAY": "smtp://user:hunter2@relay.example:587"}
    text = said(relay)
    assert "the relay relay.example:587" in text
    assert "hunter2" not in text


def test_only_the_doors_of_the_roles_are_shown() -> None:
    text = said({}, ("api",))
    assert "SES API" in text
    assert "Console" not in text
    assert "127.0.0.1:1025" not in text
    assert "127.0.0.1:2525" not in text


def test_another_account_signs_in_by_its_id_in_open_mode() -> None:
    text = said({}, scope=Scope("222222222222", "eu-west-1"))
    assert "AWS_ACCESS_KEY_ID=222222222222" in text
    assert "AWS_DEFAULT_REGION=eu-west-1" in text
    strict = said({"POSTHOUSE_AUTH__MODE": "strict"}, scope=Scope("222222222222", "eu-west-1"))
    assert "posthouse credentials create --account 222222222222" in strict


def test_port_zero_becomes_the_port_that_was_taken() -> None:
    anywhere = ("HTTP__LISTEN", "SMTP__SUBMISSION_LISTEN", "SMTP__INBOUND_LISTEN")
    config = load(None, {f"POSTHOUSE_{name}": "127.0.0.1:0" for name in anywhere})
    sockets = bind(config, ROLES)
    try:
        told = with_bound_ports(config, sockets)
        taken = {purpose: [one.getsockname()[1] for one in those] for purpose, those in sockets.items()}
    finally:
        for one in (one for those in sockets.values() for one in those):
            one.close()
    assert [at.port for at in told.http.listen] == taken["http"]
    assert [at.port for at in told.smtp.inbound_listen] == taken["inbound"]
    assert told.http.public_url == f"http://127.0.0.1:{taken['http'][0]}"


def test_a_public_url_of_ones_own_stays() -> None:
    config = load(None, {"POSTHOUSE_HTTP__PUBLIC_URL": "https://mail.example.com"})
    assert with_bound_ports(config, {}) == config


@pytest.mark.parametrize("roles", ["", "api,postman", ",", "api;smtp"])
def test_unknown_roles_are_bad_usage(roles: str) -> None:
    done = CliRunner().invoke(main, ["serve", "--roles", roles])
    assert done.exit_code == 2


def test_a_taken_port_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PORT_PATIENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as other:
        at = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setenv("POSTHOUSE_HTTP__LISTEN", at)
        done = CliRunner().invoke(main, ["serve", "--roles", "api"])
    assert done.exit_code == 1
    assert done.stderr == f"posthouse: cannot listen on {at}: Address already in use\n"


def test_a_port_that_is_about_to_be_free_is_waited_for() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    config = load(None, {"POSTHOUSE_HTTP__LISTEN": f"127.0.0.1:{other.getsockname()[1]}"})
    timer = threading.Timer(0.2, other.close)
    timer.start()
    for one in bind(config, ["api"])["http"]:
        one.close()
    timer.join()


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        raise_file_limit()
        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (now, most) == (MOST_FILES if before[1] == resource.RLIM_INFINITY else min(before[1], MOST_FILES), before[1])
