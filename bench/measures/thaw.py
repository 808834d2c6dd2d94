"""What follows on a 429 under load: silence until the thaw, and then at once the full rate."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import requests

from bench.figure import Figure
from bench.options import Options
from bench.site import LOOK_SECONDS, open_site, until
from jobs.queue.intake import NewJob
from tests.faults.upstream import Upstream

PER_SECOND = 15.0
#: After a 429 the limiter leaves 2 % of the rate unused for a while; of what remains, nearly all.
FULL_RATE = 0.95 * 0.98 * PER_SECOND
#: Over so long the rate is counted.
COUNTED_SECONDS = 2.0
#: Before and after the freeze.
WARM_UP_SECONDS, AFTER_SECONDS = 15.0, 8.0
#: Until the 429 has gone back, and has been told to all: what arrives by then was on its way.
ON_ITS_WAY_SECONDS = 0.2
TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Look:
    """What the API had counted at a moment of the monotonic clock."""

    at: float
    requests: int
    refusals: int


def measure(options: Options) -> Iterator[Figure]:
    """Two workers at the real rate; the sandbox refuses one call, and locks the key out."""
    freeze = options.pick(60, 10)
    looks = watch(options, freeze)
    number = next(n for n, look in enumerate(looks) if look.refusals)
    refused = looks[number]
    # The lock-out began between two looks: the earlier one, so that the thaw is not too late.
    thaw_at = looks[number - 1].at + freeze
    heard = requests_by(looks, refused.at + ON_ITS_WAY_SECONDS)
    silent = requests_by(looks, thaw_at) - heard
    late = heard - refused.requests
    yield Figure(what=f"requests within {ON_ITS_WAY_SECONDS} s of the 429", value=late, unit="")
    yield Figure(
        what=f"requests from then to the thaw, {freeze} s", value=silent, unit="", target=0
    )
    others = looks[-1].refusals - refused.refusals - late
    yield Figure(what="refusals beyond these", value=others, unit="", target=0)
    full = seconds_to_full_rate(looks, thaw_at)
    yield Figure(what="from the thaw to the full rate", value=full, unit="s", target=1.0)


def watch(options: Options, freeze: int) -> list[Look]:
    """All looks at the API's books, from before the 429 until the rate is back."""
    upstream = Upstream(
        options.folder, ["--latency", "1", "--credits", "1000000", "--freeze", str(freeze)]
    )
    with ExitStack() as stack:
        stack.callback(upstream.kill)
        upstream.start()
        site = stack.enter_context(
            open_site(
                options,
                STABILITY_API_HOST=upstream.address,
                DARKROOM_FREEZE_SECONDS=str(freeze),
            )
        )
        site.hire(workers=2, beats=1)
        count = round((2 * WARM_UP_SECONDS + AFTER_SECONDS) * PER_SECOND)
        params = [{"prompt": f"hare {n}", "output_format": "jpeg"} for n in range(count)]
        site.submit([NewJob(operation="generate/core", params=one) for one in params])
        enough = WARM_UP_SECONDS * PER_SECOND
        until(lambda: upstream.ledger().creates >= enough, "the rate is used")
        with requests.Session() as session:
            looks = [look_at(session, upstream)]
            upstream.fault(status_429="1x1")
            while looks[-1].at < looks[0].at + freeze + AFTER_SECONDS:
                looks.append(look_at(session, upstream))
                time.sleep(LOOK_SECONDS)
    return looks


def look_at(session: requests.Session, upstream: Upstream) -> Look:
    """The books as they are now."""
    answer = session.get(f"{upstream.address}/_sandbox/ledger?brief", timeout=TIMEOUT_SECONDS)
    (key,) = answer.json()["keys"]
    return Look(time.monotonic(), key["requests"], key["refusals"])


def requests_by(looks: Sequence[Look], at: float) -> int:
    """The requests that had come by then."""
    return max(look.requests for look in looks if look.at <= at)


def seconds_to_full_rate(looks: Sequence[Look], thaw_at: float) -> float:
    """From the thaw to the beginning of the first stretch at the full rate."""
    for look in looks:
        if look.at < thaw_at:
            continue
        if look.at + COUNTED_SECONDS > looks[-1].at:
            break
        came = requests_by(looks, look.at + COUNTED_SECONDS) - look.requests
        if came >= FULL_RATE * COUNTED_SECONDS:
            return look.at - thaw_at
    return float("inf")
