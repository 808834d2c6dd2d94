"""An address -> a file, over as few redirects as are allowed, and no larger than is allowed."""

from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin

import requests

from jobs.durable import CHUNK_BYTES
from jobs.errors import AddressRefused, DownloadRefused, Unreachable
from jobs.guard import Guard

#: Status codes after which the same request may succeed later.
PASSING = frozenset({408, 425, 429})
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a download may cost; the seconds count for each host that it is passed on to."""

    most_bytes: int
    seconds: float = 30.0
    redirects: int = 3


def download(guard: Guard, address: str, target: BinaryIO, limits: Limits) -> None:
    """Write what is there to `target`. Raises AddressRefused, DownloadRefused and Unreachable."""
    for _ in range(limits.redirects + 1):
        with guard.request("GET", address, seconds=limits.seconds) as response:
            if response.status_code not in REDIRECTS:
                check_status(response.status_code)
                copy_body(response, target, limits.most_bytes)
                return
            address = led_to(address, response)
    raise DownloadRefused(f"it was passed on more than {limits.redirects} times")


def led_to(address: str, response: requests.Response) -> str:
    """Where a redirect leads; raises AddressRefused for what cannot be read as an address."""
    try:
        return urljoin(address, response.headers.get("location", ""))
    except ValueError as error:
        raise AddressRefused("it is passed on to what is no address of a server") from error


def check_status(status: int) -> None:
    """Refuse what is not the file."""
    if status >= 500 or status in PASSING:
        raise Unreachable(f"the host answered {status}")
    if status != 200:
        raise DownloadRefused(f"the host answered {status}")


def copy_body(response: requests.Response, target: BinaryIO, most_bytes: int) -> None:
    """Write the body as it is; one that is compressed is refused, for it may grow without end."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise DownloadRefused("the host sent it compressed, though it was asked not to")
    announced = response.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
    check_size(size, most_bytes)
    size = 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
        size += len(chunk)
        check_size(size, most_bytes)
        target.write(chunk)


def check_size(size: int, most_bytes: int) -> None:
    """Refuse what is, or says it is, too large."""
    if size > most_bytes:
        raise DownloadRefused(f"it has more than {most_bytes // 1024**2} MiB")
