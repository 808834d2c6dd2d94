"""Requests to addresses that users gave: to public hosts only, and within limits.

A name is looked up once, and the connection goes to the address that was checked, so that another
answer of the name server changes nothing. Nothing is taken from the environment, no proxy either.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.exceptions import HTTPError

from jobs.addresses import check_address, is_public
from jobs.deadline import Deadline, WatchedAdapter
from jobs.errors import AddressRefused, Unreachable
from jobs.sessions import Session
from jobs.settings import Settings

HTTPS = frozenset({"https"})
HTTP_TOO = frozenset({"http", "https"})
CONNECT_SECONDS = 5.0
USER_AGENT = "Darkroom"


class Guard:
    """Makes guarded requests; safe to share between threads."""

    def __init__(self, *, schemes: frozenset[str] = HTTPS, allow_private: bool = False) -> None:
        self._schemes = schemes
        self._allow_private = allow_private

    def check(self, address: str) -> None:
        """Refuse an address by its form, without looking anything up; raises AddressRefused."""
        check_address(address, schemes=self._schemes, allow_private=self._allow_private)

    @contextmanager
    def request(
        self,
        method: str,
        address: str,
        *,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Iterator[requests.Response]:
        """One request, not redirected and not repeated; the answer's body is not read yet.

        All of it, with the reading inside the block, ends within `seconds`, and what the system's
        name resolver takes. Raises AddressRefused and Unreachable.
        """
        self.check(address)
        with Deadline(seconds) as deadline, self._session(deadline) as session:
            try:
                with session.request(
                    method,
                    address,
                    data=data,
                    headers={"accept-encoding": "identity", "user-agent": USER_AGENT}
                    | dict(headers or {}),
                    timeout=(min(CONNECT_SECONDS, seconds), seconds),
                    stream=True,
                    allow_redirects=False,
                ) as response:
                    yield response
                    deadline.check()
            except (requests.RequestException, HTTPError, OSError) as error:
                deadline.check()
                raise explained(error) from error

    def _session(self, deadline: Deadline) -> Session:
        session = Session()
        for scheme in HTTP_TOO:
            adapter = WatchedAdapter() if self._allow_private else PublicAdapter(scheme)
            adapter.deadline = deadline
            session.mount(f"{scheme}://", adapter)
        return session


def guard_of(settings: Settings) -> Guard:
    """The guard as the settings want it: in-house use may call its own hosts, also without TLS."""
    if settings.darkroom_allow_private_addresses:
        return Guard(schemes=HTTP_TOO, allow_private=True)
    return Guard()


class PublicAdapter(IPFilterAdapter, WatchedAdapter):  # type: ignore[misc]
    """Looks the host up once, and connects to the address that was found and is public.

    The library refuses private addresses and keeps the host's name for TLS; what it lets through,
    such as `fec0::/10`, the second look refuses.
    """

    def __init__(self, scheme: str) -> None:
        IPFilterAdapter.__init__(self, is_https_proto=scheme == "https")

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Where to connect: an address, no name; raises AddressRefused."""
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if not is_public(ipaddress.ip_address(host["host"].strip("[]"))):
            raise NotPublic
        return host, options


class NotPublic(AddressRefused):
    """The host is not a public one."""


def explained(error: Exception) -> AddressRefused | Unreachable:
    """What went wrong, without what the other side, or our own network, said of itself."""
    match error:
        case InvalidIPAddress():
            return NotPublic()
        case requests.exceptions.InvalidURL():
            return AddressRefused("that is no address of a server")
        case requests.exceptions.SSLError():
            return Unreachable("the host has no certificate that can be trusted")
        case requests.Timeout():
            return Unreachable("the host did not answer in time")
    return Unreachable("the connection to the host failed")
