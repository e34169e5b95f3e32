"""Where a domain's mail goes."""

import random

import pytest

from posthouse.domain.outcomes import Notice
from posthouse.domain.routing import (
    CAPTURE,
    MAX_HOPS,
    Hop,
    Route,
    RoutingTable,
    address_literal,
    no_answer,
    order_exchangers,
    parse_hop,
    parse_relay,
)


def order(*pairs: tuple[int, str], own: str = "", seed: int = 1) -> list[str] | Notice:
    hops = order_exchangers("ex.net", pairs, frozenset({own} if own else ()), random.Random(seed).shuffle)
    return hops if isinstance(hops, Notice) else [hop.host for hop in hops]


def test_hosts_go_by_preference() -> None:
    assert order((20, "b"), (10, "a"), (30, "c")) == ["a", "b", "c"]


def test_equal_preference_is_shuffled_within_itself() -> None:
    orders = {tuple(order((10, "a"), (10, "b"), (20, "c"), seed=seed)) for seed in range(50)}
    assert orders == {("a", "b", "c"), ("b", "a", "c")}


def test_no_exchanger_means_the_domain_itself() -> None:
    assert order() == ["ex.net"]


def test_a_null_mx_takes_no_mail() -> None:
    answer = order((0, ""))
    assert isinstance(answer, Notice)
    assert (answer.code, answer.enhanced) == (556, "5.1.10")


def test_an_empty_host_beside_others_is_passed_over() -> None:
    assert order((0, ""), (10, "a")) == ["a"]


def test_hosts_not_nearer_than_this_server_are_left_out() -> None:
    assert order((10, "a"), (20, "me"), (20, "b"), (30, "c"), own="me") == ["a"]


def test_being_the_nearest_host_is_a_loop() -> None:
    answer = order((10, "me"), (10, "a"), (20, "b"), own="me")
    assert isinstance(answer, Notice)
    assert (answer.code, answer.enhanced) == (554, "5.4.6")


def test_hosts_are_bounded() -> None:
    found = order(*((i, f"h{i}") for i in range(100)))
    assert len(found) == MAX_HOPS


def test_a_domain_that_cannot_be_looked_up_is_told_in_ses_words() -> None:
    assert no_answer("x.example") == Notice(421, "4.4.0", "Unable to lookup DNS for x.example")


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("mx.ex.net:2525", Hop("mx.ex.net", 2525)),
        ("MX.ex.net", Hop("mx.ex.net", 25)),
        ("[2001:db8::1]:26", Hop("2001:db8::1", 26)),
        ("[::1]", Hop("::1", 25)),
        ("127.0.0.1:1", Hop("127.0.0.1", 1)),
    ],
)
def test_hops_are_read(text: str, hop: Hop) -> None:
    assert parse_hop(text) == hop


@pytest.mark.parametrize("text", ["", "a:0", "a:65536", "a:x", "a:1_0", "a b:25", "::1", "a:٢٥", "[::1", "u@h:25"])
def test_what_is_no_hop_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_hop(text)


def test_relays_are_read() -> None:
    assert parse_relay("smtp://mx.ex.net") == Route((Hop("mx.ex.net", 25),))
    assert parse_relay("smtps://u%40x:p%3A%2Fw@mx.ex.net") == Route(
        (Hop("mx.ex.net", 465),), implicit_tls=True, username="u@x", password="p:/w"
    )
    assert parse_relay("lmtp://127.0.0.1:2003/") == Route((Hop("127.0.0.1", 2003),), lmtp=True)


@pytest.mark.parametrize("url", ["http://x", "smtp://", "smtp://x/path", "smtp://x?y", "smtp://x:99999", "x:25"])
def test_what_is_no_relay_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 two texts
        parse_relay(url.replace("://", "://user:secret@"))
    assert "secret" not in str(refused.value) or "://" not in url


DIRECT = RoutingTable("direct", {"ex.net": Hop("a", 1)})
RELAY = Route((Hop("relay", 25),))


def test_routes_go_ahead_of_every_mode() -> None:
    for mode in ("direct", "capture", "relay"):
        table = RoutingTable(mode, {"ex.net": Hop("a", 1)}, RELAY)
        assert table.fixed("ex.net") == Route((Hop("a", 1),))
    assert RoutingTable("capture", {"*": Hop("b", 2)}).fixed("any.net") == Route((Hop("b", 2),))
    assert RoutingTable("direct", {"*": Hop("b", 2), "ex.net": Hop("a", 1)}).fixed("ex.net") == Route((Hop("a", 1),))


def test_without_a_route_the_mode_decides() -> None:
    assert RoutingTable("direct", {}).fixed("ex.net") is None
    assert RoutingTable("capture", {}).fixed("ex.net") is CAPTURE
    assert RoutingTable("relay", {}, RELAY).fixed("ex.net") is RELAY


def test_domains_with_one_destination_share_its_name() -> None:
    assert DIRECT.destination("other.net") == "other.net"
    assert DIRECT.destination("ex.net") == "route a:1"
    table = RoutingTable("relay", {}, RELAY)
    assert table.destination("a.net") == table.destination("b.net") == "relay"


def test_address_literals_are_told_from_names() -> None:
    assert address_literal("[192.0.2.1]") == "192.0.2.1"
    assert address_literal("[IPv6:2001:db8::1]") == "2001:db8::1"
    assert address_literal("ex.net") is None
