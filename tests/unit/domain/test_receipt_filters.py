"""IP address filters: what is a block, and what several of them say together."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.receipt_filters import (
    MAX_FILTERS,
    Policy,
    address,
    check_filter,
    check_new_filter,
    decide,
    network,
)
from posthouse.model.errors import InvalidParameterValue, ServiceError

A, B = Policy.ALLOW, Policy.BLOCK


@pytest.mark.parametrize(
    ("cidr", "first", "length"),
    [
        ("10.0.0.1", "10.0.0.1", 32),
        ("10.0.0.1/24", "10.0.0.0", 24),
        ("0.0.0.0/0", "0.0.0.0", 0),
        ("2001:db8::1", "2001:db8::1", 128),
        ("2001:DB8::1/32", "2001:db8::", 32),
        ("::/0", "::", 0),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 128),
    ],
)
def test_blocks(cidr: str, first: str, length: int) -> None:
    block = network(cidr)
    assert block is not None
    assert (str(block.network_address), block.prefixlen) == (first, length)
    check_filter("f", cidr)


@pytest.mark.parametrize(
    "cidr",
    [
        *("", "10.0.0", "10.0.0.256", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/255.255.255.0", "010.0.0.1"),
        *("10.0.0.1 ", "10.0.0.1\n", "10.0.0.1/8/8", "１0.0.0.1", "10.0.0.1/２4", "example.com", "1", "10.0.0.1/1_0"),
        *("[2001:db8::1]", "fe80::1%eth0", "::ffff:192.0.2.1", "2001:db8::1/129", "1::2::3", ":::", "12345::", "g::"),
    ],
)
def test_what_is_no_block(cidr: str) -> None:
    assert network(cidr) is None
    with pytest.raises(InvalidParameterValue) as error:
        check_filter("f", cidr)
    assert error.value.message == f"Invalid CIDR block: {cidr}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "filterName must not be empty"),
        ("-a", "Not a valid filterName: -a"),
        ("a b", "Not a valid filterName: a b"),
        ("x" * 65, f"Not a valid filterName: {'x' * 65}"),
    ],
)
def test_names_have_one_check(name: str, message: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        check_filter(name, "no block")
    assert error.value.message == message


def test_a_hundred_filters() -> None:
    check_new_filter("f", False, MAX_FILTERS - 1)
    with pytest.raises(ServiceError, match="AlreadyExists: Filter already exists: f"):
        check_new_filter("f", True, MAX_FILTERS)
    with pytest.raises(ServiceError, match="LimitExceeded: Too many filters"):
        check_new_filter("f", False, MAX_FILTERS)


def said(client: str, *filters: tuple[str, Policy]) -> Policy | None:
    read = [(block, policy) for cidr, policy in filters if (block := network(cidr)) is not None]
    assert len(read) == len(filters)
    return decide(read, address(client))


def test_the_narrowest_block_decides() -> None:
    only_these = (("0.0.0.0/0", B), ("192.0.2.0/24", A))
    assert said("192.0.2.9", *only_these) is A
    assert said("198.51.100.1", *only_these) is B
    assert said("192.0.2.9", *only_these, ("192.0.2.9", B)) is B
    assert said("192.0.2.9", ("192.0.2.0/24", B), ("192.0.2.7/24", A)) is A
    assert said("192.0.2.9", ("192.0.2.0/24", A), ("192.0.2.7/24", B)) is A


def test_who_is_not_meant_is_not_judged() -> None:
    assert said("192.0.2.9") is None
    assert said("192.0.2.9", ("198.51.100.0/24", B)) is None
    assert said("2001:db8::1", ("0.0.0.0/0", B)) is None
    assert said("192.0.2.9", ("::/0", B)) is None
    assert said("no address", ("0.0.0.0/0", B), ("::/0", B)) is None


def test_an_ipv4_client_of_an_ipv6_socket_is_what_it_is() -> None:
    assert said("::ffff:192.0.2.9", ("192.0.2.0/24", B)) is B


BLOCKS = st.tuples(st.integers(0, 255), st.integers(24, 32), st.sampled_from([A, B]))


@given(st.lists(BLOCKS, max_size=6), st.integers(0, 255))
def test_order_makes_no_difference(blocks: list[tuple[int, int, Policy]], client: int) -> None:
    read = [(ipaddress.ip_network((0xC0000200 + at, length), strict=False), policy) for at, length, policy in blocks]
    who = ipaddress.IPv4Address(0xC0000200 + client)
    meant = [(block.prefixlen, policy is A) for block, policy in read if who in block]
    expected = None if not meant else (A if max(meant)[1] else B)
    assert decide(read, who) is expected
    assert decide(read[::-1], who) is expected
