"""The figures of the whole installation, for Prometheus; read when they are asked for."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.parts import Parts
from jobs import figures, presence, tallies
from jobs.catalog.operation import MILLI
from jobs.errors import LimiterUnavailable
from jobs.states import JobState


class Figures:
    """Reads them; a part that is away costs its own figures and no others."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def describe(self) -> Iterable[Metric]:
        """Nothing: to be registered must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All figures, and which parts gave theirs."""
        up = GaugeMetricFamily("darkroom_part_up", "Whether a part answers.", labels=["part"])
        readers = {"database": self._of_database, "redis": self._of_redis}
        for name, read in readers.items():
            try:
                yield from list(read())
            except (SQLAlchemyError, RedisError, LimiterUnavailable):
                up.add_metric([name], 0)
            else:
                up.add_metric([name], 1)
        yield up

    def _of_database(self) -> Iterator[Metric]:
        with self._parts.database.reading() as db:
            counts = tallies.counts(db)
            held = figures.held_by_reason(db)
            uncertain = figures.losses(db).calls
            credentials = figures.credentials(db)
        jobs = gauge("darkroom_jobs", "Jobs in a state.", "state")
        for state in JobState:
            jobs.add_metric([state], counts.of(state))
        reasons = gauge("darkroom_held_jobs", "Jobs that are held, by what they wait for.", "for")
        for reason, number in held.items():
            reasons.add_metric([reason], number)
        stopped = gauge(
            "darkroom_credential_stopped", "Whether the API refuses a credential.", "credential"
        )
        for row in credentials:
            stopped.add_metric([row.id], row.stopped_at is not None)
        yield from (jobs, reasons, stopped)
        yield CounterMetricFamily(
            "darkroom_credits_spent", "Credits charged.", value=counts.charged_milli / MILLI
        )
        yield CounterMetricFamily(
            "darkroom_uncertain_attempts", "Paid calls that lost their answers.", value=uncertain
        )

    def _of_redis(self) -> Iterator[Metric]:
        there = len(presence.workers_there(self._parts.redis))
        yield GaugeMetricFamily("darkroom_workers", "Workers that are there.", value=there)
        used = gauge("darkroom_limiter_slots_used", "Requests in the window.", "credential")
        frozen = gauge("darkroom_limiter_frozen_seconds", "Until the thaw.", "credential")
        for credential_id in self._parts.keyring.ids:
            stand = self._parts.limiter.look(credential_id)
            used.add_metric([credential_id], stand.used)
            frozen.add_metric([credential_id], stand.frozen.total_seconds())
        yield from (used, frozen)
        yield GaugeMetricFamily(
            "darkroom_limiter_slots",
            "Requests that fit into the window of a credential.",
            value=self._parts.settings.darkroom_rate.requests,
        )


def gauge(name: str, about: str, label: str) -> GaugeMetricFamily:
    """A family with one label."""
    return GaugeMetricFamily(name, about, labels=[label])


def registry_of(parts: Parts) -> CollectorRegistry:
    """A registry with these figures alone."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(parts))
    return registry
