"""Whose address a request counts for, behind proxies and without."""

import ipaddress

import pytest

from todo_api.throttling.client_address import MAX_HOPS, ClientAddresses

PROXIES = ("10.0.0.0/8", "fd00::/8")


def address(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = PROXIES) -> str:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    client = None if peer is None else (peer, 50000)
    return ClientAddresses(map(ipaddress.ip_network, trusted)).client(
        {"type": "http", "client": client, "headers": headers}
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.7",), "192.0.2.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("10.0.0.1", ("203.0.113.9, 198.51.100.7",), "198.51.100.7"),
        ("10.0.0.1", ("203.0.113.9", "198.51.100.7, 10.0.0.2"), "198.51.100.7"),
        ("10.0.0.1", ("10.9.9.9, 10.0.0.2",), "10.9.9.9"),
        ("10.0.0.1", ("198.51.100.7:4711",), "198.51.100.7"),
        ("10.0.0.1", ("[2001:db8:1:2:3:4:5:6]:4711",), "2001:db8:1:2::/64"),
        ("10.0.0.1", ("203.0.113.9, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9, unknown, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", (" , ,",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9, 198.51.100.7, , 10.0.0.2,",), "198.51.100.7"),
        ("10.0.0.1", ("198.51.100.7", "", "10.0.0.2"), "198.51.100.7"),
        ("10.0.0.1", ("198.51.100.7,\t10.0.0.2",), "198.51.100.7"),
        ("fd00::1", ("2001:db8::1",), "2001:db8::/64"),
        ("::ffff:10.0.0.1", ("::ffff:198.51.100.7",), "198.51.100.7"),
        ("2001:db8:1:2::1", (), "2001:db8:1:2::/64"),
        ("2001:db8:1:3:ffff::1", (), "2001:db8:1:3::/64"),
        ("fe80::1%eth0", (), "fe80::/64"),
        (None, ("198.51.100.7",), "unknown"),
        ("10.0.0.1", (", ".join(["203.0.113.9"] + ["10.0.0.2"] * 40),), "10.0.0.2"),
        ("10.0.0.1", (", ".join(["203.0.113.9"] + ["10.0.0.2"] * (MAX_HOPS - 1)),), "203.0.113.9"),
        ("10.0.0.1", (", ".join(["203.0.113.9"] + ["10.0.0.2"] * MAX_HOPS),), "10.0.0.2"),
        ("10.0.0.1", ("[fe80::1%eth0]:80",), "fe80::/64"),
        ("testclient", ("198.51.100.7",), "unknown"),
    ],
)
def test_address_is_the_one_that_the_last_trusted_proxy_saw(
    peer: str | None, forwarded: tuple[str, ...], expected: str
) -> None:
    assert address(peer, *forwarded) == expected


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded", "x-forwarded-host", "x-real-ip", "x-client-ip"])
def test_address_in_another_field_is_not_believed(name: str) -> None:
    scope = {"type": "http", "client": ("10.0.0.1", 50000), "headers": [(name.encode(), b"198.51.100.7")]}
    assert ClientAddresses([ipaddress.ip_network("10.0.0.0/8")]).client(scope) == "10.0.0.1"


def test_address_without_trusted_proxies_is_the_peer_whatever_is_forwarded() -> None:
    assert address("127.0.0.1", "198.51.100.7", trusted=()) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", None),
        ("fd00::1", None),
        ("a socket of this machine", "unknown"),
    ],
)
def test_address_of_a_peer_is_its_own_unless_it_is_a_proxy_with_many_behind_it(peer: str, expected: str | None) -> None:
    assert ClientAddresses(map(ipaddress.ip_network, PROXIES)).peer(peer) == expected
