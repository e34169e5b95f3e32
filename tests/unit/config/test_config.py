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
        (
            {"LOCAL__TOPICS": "bounces"},
            "local.topics = 'bounces': allowed is a list of ARNs of standard SNS topics",
        ),
        ({"SMTP__LISTEN": "127.0.0.1:1"}, "smtp.listen: unknown key (did you mean http.listen?)"),
        (
            {"ACCOUNTS__OWNER_EMAIL": "Ops <ops@house.example>"},
            "accounts.owner_email = 'Ops <ops@house.example>': allowed is an e-mail address",
        ),
        ({"DNS__RESOLVERS": "dns.example"}, "dns.resolvers = 'dns.example': allowed is a list of ip[:port]"),
        (
            {"HTTP__PUBLIC_URL": "https://b\u00fccher.example"},
            "http.public_url = 'https://b\u00fccher.example': allowed is a URL that begins with http://, https://",
        ),
        (
            {"HTTP__TRUSTED_PROXIES": "10.0.0.0/8, proxy.example"},
            "http.trusted_proxies = '10.0.0.0/8, proxy.example': allowed is a list of IP addresses and networks like "
            "10.0.0.0/8",
        ),
        (
            {"SCAN__CLAMD": "127.0.0.1:99999"},
            "scan.clamd = '127.0.0.1:99999': allowed is host:port, or the path of a socket",
        ),
        ({"SCAN__CLAMD": "clamd"}, "scan.clamd = 'clamd': allowed is host:port, or the path of a socket"),
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


@pytest.mark.parametrize(
    ("environ", "addresses"),
    [
        ({}, ("127.0.0.1",)),
        (
            {"SMTP__INBOUND_LISTEN": "192.0.2.7:25,[2001:db8::7]:25,0.0.0.0:2525,mx.example:25"},
            ("192.0.2.7", "2001:db8::7"),
        ),
        ({"SMTP__INBOUND_LISTEN": "192.0.2.7:25", "DELIVERY__SOURCE_IPS": "192.0.2.8"}, ("192.0.2.8",)),
        (
            {"DNS__ADDRESSES": "192.0.2.9, 2001:DB8::9", "DELIVERY__SOURCE_IPS": "192.0.2.8"},
            ("192.0.2.9", "2001:db8::9"),
        ),
        ({"SMTP__INBOUND_LISTEN": "0.0.0.0:25"}, ("127.0.0.1",)),
        ({"SMTP__INBOUND_LISTEN": "0.0.0.0:25", "PROFILE": "production"}, ()),
    ],
)
def test_the_addresses_of_the_installation_follow_from_other_keys(
    environ: dict[str, str], addresses: tuple[str, ...]
) -> None:
    assert load(None, {f"POSTHOUSE_{key}": value for key, value in environ.items()}).dns.addresses == addresses


def test_the_service_domain_has_a_name_server_in_itself_by_default() -> None:
    assert load(None, {"POSTHOUSE_IDENTITIES__SERVICE_DOMAIN": "Mail.Test"}).dns.nameservers == ("ns1.mail.test",)
    assert load(None, {"POSTHOUSE_DNS__NAMESERVERS": "NS.x.test"}).dns.nameservers == ("ns.x.test",)


def test_a_dns_server_that_cannot_say_where_it_is_does_not_start() -> None:
    unknown = {"POSTHOUSE_PROFILE": "production", "POSTHOUSE_SMTP__INBOUND_LISTEN": "0.0.0.0:25"}
    with pytest.raises(ConfigError, match="dns.addresses is not set"):
        load(None, {**unknown, "POSTHOUSE_DNS__LISTEN": "0.0.0.0:53"})
    with pytest.raises(ConfigError, match="dns.addresses = 'mx.example': allowed is a list of IP addresses"):
        load(None, {"POSTHOUSE_DNS__ADDRESSES": "mx.example"})


def test_a_label_is_no_longer_than_dns_can_carry() -> None:
    assert load(None, {"POSTHOUSE_SMTP__HOSTNAME": f"{'a' * 63}.test"}).smtp.hostname == f"{'a' * 63}.test"
    with pytest.raises(ConfigError, match="a domain name"):
        load(None, {"POSTHOUSE_SMTP__HOSTNAME": f"{'a' * 64}.test"})
