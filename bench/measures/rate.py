"""How much of the API's rate is used, and that it is never exceeded: near by, and far away."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from bench.figure import Figure
from bench.options import Options
from bench.site import LOOK_SECONDS, Site, open_site, until
from jobs.queue.intake import NewJob
from tests.faults.process import Process, python
from tests.faults.upstream import Upstream
from tests.servers import accepts_http, free_port

PER_SECOND = 15.0
WINDOW_REQUESTS = 150
#: Until the first window has passed and the slots are in step.
WARM_UP_SECONDS = 25.0
LATENCY = "1"


@dataclass(frozen=True)
class Use:
    """What the API saw."""

    share: float
    refusals: int
    most_in_window: int


def measure(options: Options) -> Iterator[Figure]:
    """Two workers and a beat against the sandbox at the real limits, then over a long way."""
    seconds = options.pick(300, 60)
    for way, least, is_far in (("near", 98.0, False), ("far, 80 ms each way", 95.0, True)):
        use = watch(options, seconds, is_far=is_far)
        share = 100 * use.share
        yield Figure(what=f"{way}: use", value=share, unit="%", target=least, sense="at least")
        yield Figure(what=f"{way}: refusals", value=use.refusals, unit="", target=0)
        yield Figure(
            what=f"{way}: most in 10 s",
            value=use.most_in_window,
            unit="",
            target=WINDOW_REQUESTS,
        )


def watch(options: Options, seconds: float, *, is_far: bool) -> Use:
    """Let jobs run for so long, and read the API's books."""
    folder = options.folder / ("far" if is_far else "near")
    folder.mkdir()
    upstream = Upstream(folder, ["--latency", LATENCY, "--credits", "1000000"])
    with ExitStack() as stack:
        stack.callback(upstream.kill)
        upstream.start()
        address = upstream.address
        if is_far:
            address = stack.enter_context(Far(options, upstream))
        site = stack.enter_context(open_site(options, STABILITY_API_HOST=address))
        site.hire(workers=2, beats=1)
        submit(site, round((seconds + WARM_UP_SECONDS + 30) * PER_SECOND))
        until(lambda: upstream.ledger().creates > 0, "the first call comes")
        pause(WARM_UP_SECONDS)
        first, begun_at = upstream.ledger().creates, time.monotonic()
        pause(seconds)
        ledger, ended_at = upstream.ledger(), time.monotonic()
    share = (ledger.creates - first) / (ended_at - begun_at) / PER_SECOND
    return Use(share, ledger.refusals, ledger.max_in_window)


def submit(site: Site, count: int) -> None:
    """More jobs than can be done."""
    params = [{"prompt": f"hare {n}", "output_format": "jpeg"} for n in range(count)]
    site.submit([NewJob(operation="generate/core", params=one) for one in params])


def pause(seconds: float) -> None:
    """Let time pass: it is what is measured."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


class Far:
    """The upstream behind a proxy that delays; gives its address."""

    def __init__(self, options: Options, upstream: Upstream) -> None:
        self._port = free_port()
        target = upstream.address.rpartition(":")[2]
        command = python("-m", "bench.proxy", str(self._port), target)
        self._process = Process("proxy", command, folder=options.folder, environment={})

    def __enter__(self) -> str:
        self._process.start()
        address = f"http://127.0.0.1:{self._port}"
        until(lambda: accepts_http(address), "the proxy answers")
        return address

    def __exit__(self, *_: object) -> None:
        self._process.kill()
