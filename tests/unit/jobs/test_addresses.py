"""Which addresses may be called, by their form and by where they lead."""

import ipaddress

import pytest

from jobs.addresses import check_address, is_public
from jobs.errors import AddressRefused

HTTPS = frozenset({"https"})


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "169.254.169.254"),
        *("172.16.0.1", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
        *("168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "100::1"),
        *("fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "3fff::1", "5f00::1"),
    ],
)
def test_an_address_of_an_inside_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111"])
def test_an_address_of_the_world_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/a.png",
        "https://example.com:443/a.png?X-Amz-Signature=0%2F1",
        "https://8.8.8.8/a.png",
        "https://[2606:4700:4700::1111]/a.png",
        "https://EXAMPLE.com./a.png#part",
    ],
)
def test_an_ordinary_address_passes(text: str) -> None:
    check_address(text, schemes=HTTPS)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "0",
            "127.0.0.1.",
        ),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("[fec0::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fd00:ec2::254]", "100.64.0.1"),
        *(
            "169.254.169.254",
            "0.0.0.0",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "%31%32%37.0.0.1",
        ),
    ],
)
def test_a_host_of_an_inside_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(f"https://{host}/a.png", schemes=HTTPS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file:///etc/passwd", "must begin with https://"),
        ("gopher://example.com/", "must begin with https://"),
        ("http://example.com/", "must begin with https://"),
        ("//example.com/", "must begin with https://"),
        ("https://user:secret@example.com/", "user name or password"),
        ("https://example.com@127.0.0.1/", "user name or password"),
        ("https://@example.com/", "user name or password"),
        ("https://example.com\\@127.0.0.1/", "percent-encoded"),
        ("https://example.com/\r\nHost: inside", "percent-encoded"),
        ("https://①②⑦.⓪.⓪.①/", "percent-encoded"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:99999/", "no address"),
        ("https:///a.png", "no host"),
        ("https://[::1/", "no address"),
        ("https://example.com/" + "a" * 5000, "characters"),
    ],
)
def test_a_trick_is_refused_and_named(text: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        check_address(text, schemes=HTTPS)


def test_a_refusal_never_shows_a_password() -> None:
    with pytest.raises(AddressRefused) as refused:
        check_address("https://user:hunter2@example.com/", schemes=HTTPS)

    assert "hunter2" not in str(refused.value)


def test_in_house_use_may_name_its_own_hosts_and_ports() -> None:
    schemes = frozenset({"https", "http"})

    check_address("http://127.0.0.1:8080/a.png", schemes=schemes, allow_private=True)
    with pytest.raises(AddressRefused):
        check_address("file:///etc/passwd", schemes=schemes, allow_private=True)
