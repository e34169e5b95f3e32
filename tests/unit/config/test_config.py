"""Configuration: defaults, where values come from, and the one line for what is refused."""

from pathlib import Path

import pytest

from posthouse.config import ConfigError, Listen, keys, load


def test_the_dev_profile_listens_on_loopback_and_captures() -> None:
    config = load(None, {})
    assert config.http.listen == (Listen("127.0.0.1", 8025),)
    assert config.http.public_url == "http://127.0.0.1:8025"
    assert (config.delivery.mode, config.auth.mode, config.identities.auto_verify) == ("capture", "open", True)
    assert config.auth.access_key == "posthouse"


def test_production_has_other_defaults() -> None:
    config = load(None, {"POSTHOUSE_PROFILE": "production"})
    assert (config.delivery.mode, config.auth.mode, config.identities.auto_verify) == ("direct", "strict", False)
    assert (config.accounts.sandbox, config.auth.access_key) == (True, None)


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    path = tmp_path / "posthouse.toml"
    path.write_text(
        'data_dir = "/x"\n[delivery]\nmode = "direct"\nconcurrency = 7\n[delivery.routes]\n"Example.com" = "[::1]:25"\n'
    )
    config = load(str(path), {"POSTHOUSE_DELIVERY__MODE": "capture", "POSTHOUSE_HTTP__LISTEN": "127.0.0.1:1, [::1]:2"})
    assert (config.data_dir, config.delivery.mode, config.delivery.concurrency) == ("/x", "capture", 7)
    assert config.delivery.routes == {"example.com": "[::1]:25"}
    assert config.http.listen == (Listen("127.0.0.1", 1), Listen("::1", 2))


def test_an_empty_list_in_the_environment_is_empty() -> None:
    assert load(None, {"POSTHOUSE_SMTP__INBOUND_LISTEN": ""}).smtp.inbound_listen == ()


def test_a_map_in_the_environment_is_json() -> None:
    config = load(None, {"POSTHOUSE_DELIVERY__ROUTES": '{"*": "127.0.0.1:2600"}'})
    assert config.delivery.routes == {"*": "127.0.0.1:2600"}


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"DELIVERY__MODE": "x"}, """delivery.mode = 'x': allowed is "capture" or "direct" or "relay\""""),
        ({"DELIVERY__CONCURRENCY": "1_0"}, "delivery.concurrency = '1_0': allowed is a whole number from 1 to 100000"),
        ({"DELIVERY__CONCURRENCY": "0"}, "delivery.concurrency = '0': allowed is a whole number from 1 to 100000"),
        ({"HTTP__LISTEN": "127.0.0.1"}, "http.listen = '127.0.0.1': allowed is a list of host:port"),
        ({"HTTP__LISTEN": "127.0.0.1:70000"}, "http.listen = '127.0.0.1:70000': allowed is a list of host:port"),
        ({"AUTH__ACCOUNT_ID": "12"}, "auth.account_id = '12': allowed is 12 digits"),
        ({"SMTP__PROXY_PROTOCOL": "yes"}, "smtp.proxy_protocol = 'yes': allowed is true or false"),
        ({"NOPE": "1"}, "nope: unknown key"),
        ({"SMTP__LISTEN": "127.0.0.1:1"}, "smtp.listen: unknown key (did you mean http.listen?)"),
        ({"DNS__RESOLVERS": "dns.example"}, "dns.resolvers = 'dns.example': allowed is a list of ip[:port]"),
        ({"DELIVERY__MODE": "relay"}, 'delivery.relay is not set: with delivery.mode = "relay" allowed is a URL'),
        ({"HTTP__TLS_CERT": "x.pem"}, "http.tls_cert, http.tls_key: allowed is both or none"),
        (
            {"HTTP__LISTEN": "0.0.0.0:8025"},
            'auth.mode = "open": refused on 0.0.0.0:8025, which is not loopback; allowed is "strict", or '
            "auth.allow_open = true",
        ),
    ],
)
def test_one_line_names_key_value_and_what_is_allowed(environ: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(None, {f"POSTHOUSE_{name}": value for name, value in environ.items()})
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a = [", "posthouse.toml"),
        ("delivery = 3", "delivery = 3: allowed is a table"),
        ("[delivery]\nmode = 3", "delivery.mode = 3: allowed is"),
        ("[delivery]\nmoed = 'direct'", "delivery.moed: unknown key"),
        ("[delivery]\nretry_seconds = []", "delivery.retry_seconds = []: allowed is a list of numbers"),
        ("[delivery]\nroutes = {a = 1}", "delivery.routes = {'a': 1}: allowed is a map"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "posthouse.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(str(path), {})
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_that_was_asked_for_is_an_error() -> None:
    with pytest.raises(ConfigError):
        load("/nonexistent/posthouse.toml", {})


def test_every_key_has_a_reason_or_speaks_for_itself() -> None:
    for key, meta in keys():
        assert meta["why"] or key.startswith("log."), key
