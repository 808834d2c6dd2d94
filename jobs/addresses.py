"""Which addresses that users give may be called: by their form, and by where they lead."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from jobs.errors import AddressRefused

#: Signed addresses of buckets have some 2,000 characters.
MOST_CHARACTERS = 4096
PORTS = frozenset({80, 443})
DEFAULT_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: All of IPv6 that is handed out for the public; loopback, mapped, translated, site-local and
#: whatever is invented next lie outside of it.
PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
#: What is no public host though it may look like one: the special-purpose registries of IANA,
#: and 168.63.129.16, behind which Azure keeps a service for its own machines.
NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("168.63.129.16/32", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)


def is_public(address: Address) -> bool:
    """Whether anybody in the world may be meant by this address."""
    if isinstance(address, ipaddress.IPv6Address) and address not in PUBLIC_IPV6:
        return False
    return not any(
        address in network for network in NOT_PUBLIC if network.version == address.version
    )


def check_address(text: str, *, schemes: frozenset[str], allow_private: bool = False) -> None:
    """Refuse an address by its form alone; nothing is looked up. Raises AddressRefused."""
    if len(text) > MOST_CHARACTERS:
        raise AddressRefused(f"the address has more than {MOST_CHARACTERS:,} characters")
    # Each reader of addresses has its own idea of these, so that a host may hide behind them.
    if "\\" in text or not all("!" <= character <= "~" for character in text):
        raise AddressRefused("the address holds characters that must be percent-encoded")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise AddressRefused("that is no address of a server") from error
    if parts.scheme not in schemes:
        raise AddressRefused(f"the address must begin with {named(schemes)}")
    if "@" in parts.netloc:
        raise AddressRefused("the address holds a user name or password")
    if not allow_private:
        check_port(port or DEFAULT_PORTS[parts.scheme])
    check_host(parts, allow_private=allow_private)


def named(schemes: frozenset[str]) -> str:
    """`https:// or http://`."""
    return " or ".join(f"{scheme}://" for scheme in sorted(schemes, reverse=True))


def check_port(port: int) -> None:
    """Other ports belong to other services, which may take a request for something else."""
    if port not in PORTS:
        raise AddressRefused(f"port {port} is not called: only 443 and 80 are")


def check_host(parts: SplitResult, *, allow_private: bool) -> None:
    """Refuse a host that is given as a number in disguise, or as one that is not public."""
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise AddressRefused("the address names no host")
    if "%" in host:
        raise AddressRefused("the host has a zone or is encoded; write it plainly")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        if is_disguised(host):
            raise AddressRefused("the host is a number in an unusual form") from None
        is_inside = host == "localhost" or host.endswith(".localhost")
    else:
        is_inside = not is_public(literal)
    if is_inside and not allow_private:
        raise AddressRefused(f"{host} is not a public host")


def is_disguised(host: str) -> bool:
    """Whether the system takes this name for a number: `2130706433`, `0x7f.1`, `0177.0.0.1`."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True
