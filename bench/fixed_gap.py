"""A worker that asks for every result at fixed gaps, as one would without plans: to compare.

python -m bench.fixed_gap
"""

import sys
from datetime import timedelta

from jobs.cli.home import settings_for
from jobs.settings import Settings
from workers import program
from workers.pollster import Pollster
from workers.resources import Resources, build_resources


class FixedGap(Pollster):
    """Knows nothing but the least gap."""

    def delay(self, operation: str, elapsed: timedelta, polls: int) -> timedelta:
        """The gap, each time."""
        return self._gap


def build(settings: Settings) -> Resources:
    """What every worker works with, but for the plans."""
    resources = build_resources(settings)
    resources.pollster = FixedGap(resources.database, settings.poll_gap)
    return resources


if __name__ == "__main__":
    # Only to compare with: no setting of a worker asks for it.
    program.build_resources = build  # type: ignore[attr-defined]
    sys.exit(program.run_worker(settings_for("worker")))
