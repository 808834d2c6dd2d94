"""What a backlog costs Redis: the queue is in the database, and Celery has what can soon run."""

from collections.abc import Iterator

from bench.backlog import fill
from bench.figure import Figure
from bench.options import Options
from bench.site import Site, open_site, until
from jobs.models import DEFAULT_PROJECT, new_id
from jobs.nudge import nudge

MIB = 1 << 20


def measure(options: Options) -> Iterator[Figure]:
    """Memory before the jobs, and after the dispatcher has sent what it sends; nobody works."""
    jobs = options.pick(1_000_000, 20_000)
    with open_site(options) as site:
        site.hire(beats=1)
        until(lambda: site.redis.dbsize() > 0, "the beat is at work")
        before = used(site)
        fill(site.database, jobs, project_id=DEFAULT_PROJECT, batch_id=new_id())
        nudge(site.redis)
        until(lambda: waiting(site) > 0, "the dispatcher has sent jobs")
        grown = used(site) - before
        yield Figure(what=f"growth by {jobs:,} queued jobs", value=grown, unit="MiB", target=20)
        yield Figure(what="messages in Celery's queue", value=waiting(site), unit="")


def used(site: Site) -> float:
    """Redis's memory, in MiB."""
    return float(site.redis.info("memory")["used_memory"]) / MIB


def waiting(site: Site) -> int:
    """Messages that no worker took."""
    return int(site.redis.llen("darkroom:celery:darkroom"))
