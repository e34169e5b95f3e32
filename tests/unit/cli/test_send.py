"""Where `posthouse send` goes and whose keys it takes."""

from pathlib import Path

import click
import pytest

from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation
from posthouse.cli.send import Keys, default_endpoint, find_keys, read_endpoint
from posthouse.config import Listen, load


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def asked(account: str | None = None) -> Invocation:
    return Invocation(account, None, None, None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8025", ("http", Listen("127.0.0.1", 8025))),
        ("https://mail.example.com/", ("https", Listen("mail.example.com", 443))),
        ("smtp://mail.example.com", ("smtp", Listen("mail.example.com", 587))),
        ("smtps://[::1]:465", ("smtps", Listen("::1", 465))),
    ],
)
def test_an_endpoint_is_a_url(url: str, expected: tuple[str, Listen]) -> None:
    assert read_endpoint(url) == expected


@pytest.mark.parametrize(
    "url", ["mail.example.com:25", "ftp://x", "http://", "http://x:99999", "http://x/path", "http://[::1"]
)
def test_anything_else_is_bad_usage(url: str) -> None:
    with pytest.raises(click.UsageError):
        read_endpoint(url)


def test_by_default_it_goes_to_the_first_listener() -> None:
    none = {"POSTHOUSE_SMTP__SUBMISSION_LISTEN": ","}
    config = load(None, {**none, "POSTHOUSE_SMTP__SUBMISSION_TLS_LISTEN": "[::1]:465"})
    assert default_endpoint(config, "api") == ("http", Listen("127.0.0.1", 8025))
    assert default_endpoint(config, "smtp") == ("smtps", Listen("::1", 465))
    with pytest.raises(Failed, match="no listener is configured for smtp"):
        default_endpoint(load(None, none), "smtp")


def test_the_default_account_uses_its_configured_key() -> None:
    assert find_keys(asked(), None, None) == Keys("posthouse", "posthouse-secret")


def test_in_open_mode_an_account_is_its_own_key() -> None:
    assert find_keys(asked("222222222222"), None, None).access_key == "222222222222"


def test_named_keys_come_first() -> None:
    assert find_keys(asked(), "AKIA", "s") == Keys("AKIA", "s")


def test_in_strict_mode_an_account_without_a_key_cannot_send(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTHOUSE_AUTH__MODE", "strict")
    monkeypatch.setenv("POSTHOUSE_DATA_DIR", str(tmp_path))
    with pytest.raises(Failed):
        find_keys(asked("222222222222"), None, None)
