"""Asynchronous jobs with requests to spare: how soon a result is stored once it is ready."""

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import mean

from bench.figure import Figure
from bench.measures.engine import succeeded
from bench.options import Options
from bench.renders import lateness, open_rendering_site, pace_of, rendering, submit_at, teach
from bench.site import until
from bench.usage import percentile

#: Between two jobs.
EACH_SECONDS = 3.0


def measure(options: Options) -> Iterator[Figure]:
    """One worker and a beat; a job comes every 3 s, of an operation that is known."""
    pace, jobs = pace_of(options), options.pick(100, 12)
    with ExitStack() as stack:
        upstream = stack.enter_context(rendering(options.folder, pace))
        site = stack.enter_context(open_rendering_site(options, upstream, pace))
        teach(site, pace)
        site.hire(workers=1, beats=1)
        submit_at(site, [EACH_SECONDS * number for number in range(jobs)])
        patience = EACH_SECONDS * jobs + 10 * pace.median
        until(lambda: succeeded(site) == jobs, "the jobs have succeeded", patience)
        ledger, late = upstream.ledger(), lateness(site, options.folder)
    yield Figure(what="from ready to stored, mean", value=mean(late), unit="s", target=6.0)
    yield Figure(what="from ready to stored, p95", value=percentile(late, 0.95), unit="s")
    yield Figure(what="polls", value=ledger.polls / jobs, unit="/job", target=2.6)
    yield Figure(what="polls too soon", value=ledger.short_polls, unit="", target=0)
