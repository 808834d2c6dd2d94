"""Asynchronous jobs while requests are scarce: by learned plans, and polled at fixed gaps."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.figure import Figure
from bench.measures.engine import succeeded
from bench.options import Options
from bench.renders import Pace, open_rendering_site, pace_of, rendering, submit_at, teach
from bench.site import LOOK_SECONDS, Site, until
from jobs.presence import workers_there
from tests.faults.process import Process, python

WORKERS = 2
PER_SECOND = 15.0
#: A job's requests when requests are scarce, by the plans; with fixed gaps, about.
PLANNED_REQUESTS, FIXED_REQUESTS = 2.35, 5.6
#: More jobs a second than can be done.
MOST_PER_SECOND = 8.0
#: In medians of a job's time: until jobs begin and end evenly.
RAMP, SETTLING = 2.0, 1.5
#: Programs of workers.
PLANNED, FIXED = ("-m", "jobs", "worker"), ("-m", "bench.fixed_gap")


@dataclass(frozen=True)
class Flow:
    """What went through in the steady part."""

    begun_per_second: float
    ended_per_second: float
    polls_each: float
    use: float
    refusals: int
    short_gaps: int

    @property
    def per_second(self) -> float:
        """The lesser of both: the other one only fills, or empties, what is under way."""
        return min(self.begun_per_second, self.ended_per_second)


def measure(options: Options) -> Iterator[Figure]:
    """The same jobs twice; the first figures are those of the learned plans."""
    pace, seconds = pace_of(options), options.pick(300, 60)
    planned = run(options, pace, seconds, program=PLANNED, requests=PLANNED_REQUESTS)
    fixed = run(options, pace, seconds, program=FIXED, requests=FIXED_REQUESTS)
    yield Figure(
        what="by plans", value=planned.per_second, unit="jobs/s", target=6.2, sense="at least"
    )
    every = f"every {pace.gap:g} s"
    yield Figure(what=every, value=fixed.per_second, unit="jobs/s")
    for name, flow in (("by plans", planned), (every, fixed)):
        yield Figure(what=f"{name}: begun", value=flow.begun_per_second, unit="jobs/s")
        yield Figure(what=f"{name}: ended", value=flow.ended_per_second, unit="jobs/s")
        yield Figure(what=f"{name}: polls", value=flow.polls_each, unit="/job")
        yield Figure(what=f"{name}: use of the rate", value=100 * flow.use, unit="%")
        yield Figure(what=f"{name}: refusals", value=flow.refusals, unit="", target=0)
        yield Figure(what=f"{name}: polls too soon", value=flow.short_gaps, unit="", target=0)


def run(
    options: Options, pace: Pace, seconds: float, *, program: Sequence[str], requests: float
) -> Flow:
    """Two workers of a kind, and what they do once jobs begin and end evenly."""
    folder = options.folder / program[-1]
    folder.mkdir()
    with ExitStack() as stack:
        upstream = stack.enter_context(rendering(folder, pace))
        here = Options(is_quick=options.is_quick, folder=folder)
        site = stack.enter_context(open_rendering_site(here, upstream, pace))
        teach(site, pace)
        hire(stack, site, here, program)
        ramp = RAMP * pace.median
        submit_at(site, moments(ramp, PER_SECOND / requests, seconds + SETTLING * pace.median))
        pause(ramp + SETTLING * pace.median)
        before, done, begun_at = upstream.ledger(), succeeded(site), time.monotonic()
        pause(seconds)
        after, done, took = upstream.ledger(), succeeded(site) - done, time.monotonic() - begun_at
    sent = after.creates + after.polls - before.creates - before.polls
    return Flow(
        begun_per_second=(after.creates - before.creates) / took,
        ended_per_second=done / took,
        polls_each=(after.polls - before.polls) / done,
        use=sent / took / PER_SECOND,
        refusals=after.refusals,
        short_gaps=after.short_polls,
    )


def moments(ramp: float, per_second: float, rest: float) -> list[float]:
    """When jobs come: at first as many as can end, so that they do not come in waves; then more
    than can be done."""
    first = [number / per_second for number in range(round(ramp * per_second))]
    return [*first, *[ramp] * round(rest * MOST_PER_SECOND)]


def hire(stack: ExitStack, site: Site, options: Options, program: Sequence[str]) -> None:
    """Start workers of a kind, and a beat."""
    site.hire(beats=1)
    for number in range(WORKERS):
        worker = Process(
            f"worker-{number}",
            python(*program),
            folder=options.folder,
            environment=site.environment,
        )
        worker.start()
        stack.callback(worker.kill)
    until(lambda: len(workers_there(site.redis)) == WORKERS, "the workers are there")


def pause(seconds: float) -> None:
    """Let time pass: it is what is measured."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
