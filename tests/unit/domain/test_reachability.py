"""Which addresses may be called on a user's word."""

import pytest

from posthouse.domain.reachability import why_not_callable


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_called(address: str) -> None:
    assert why_not_callable(address, allow_private=False) == ""


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "240.0.0.1",
        "0.1.2.3",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "2001:0:53aa::1",
        "2001:db8::1",
        "fc00::1",
        "fec0::1",
    ],
)
def test_private_addresses_in_every_disguise_are_not(address: str) -> None:
    assert address in why_not_callable(address, allow_private=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fd12::1", "100.64.0.1", "172.17.0.2"])
def test_private_addresses_are_called_where_that_is_allowed(address: str) -> None:
    assert why_not_callable(address, allow_private=True) == ""


@pytest.mark.parametrize("allow_private", [True, False])
@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "168.63.129.16",
        "100.100.100.200",
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "localhost",
        "127.1",
        "0x7f.0.0.1",
        "",
    ],
)
def test_what_is_no_subscriber_is_never_called(address: str, allow_private: bool) -> None:
    assert why_not_callable(address, allow_private)
