"""When a schedule runs: five fields of cron in a time zone.

A time that a change of the clock leaves out is run right after the gap, and one that comes twice
is run the first time only, as Debian's cron does. What runs every hour or more often runs by the
hours that pass.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

#: Seconds would be a sixth: a schedule is no heartbeat.
FIELDS = 5
SECOND = timedelta(seconds=1)
#: What looking for a time raises where this image does not know the zone, or the expression.
UNKNOWN = (CronSimError, LookupError, OSError, ValueError)


@dataclass(frozen=True)
class Clock:
    """The times of one schedule."""

    cron: str
    timezone: str
    start_at: datetime | None = None
    end_at: datetime | None = None

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`, in UTC; None when there is none any more."""
        if self.start_at is not None and moment < self.start_at:
            # The start itself is a time like any other.
            moment = self.start_at.replace(microsecond=0) - SECOND
        for local in CronSim(self.cron, moment.astimezone(zone(self.timezone))):
            found = local.astimezone(UTC)
            # In the hour that comes twice the library starts from the first of the two.
            if found > moment:
                is_over = self.end_at is not None and found > self.end_at
                return None if is_over else found
        return None


def cron_fault(cron: str) -> str | None:
    """Why this is no cron expression, or none that ever runs; None if it is one."""
    if len(cron.split()) != FIELDS:
        return "has five fields: minute, hour, day of the month, month, day of the week"
    try:
        times = CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return f"is no cron expression: {str(error).lower()}"
    return "never comes" if next(times, None) is None else None


def timezone_fault(name: str) -> str | None:
    """Why this is no time zone; None if it is one."""
    if name in known_zones():
        return None
    return "is no time zone; give a name such as Europe/Berlin, or UTC"


@cache
def known_zones() -> frozenset[str]:
    """The names of all time zones: the system's, or the `tzdata` package's where it has none."""
    return frozenset({"UTC", *available_timezones()})


def zone(name: str) -> tzinfo:
    """The time zone of a known name."""
    return UTC if name == "UTC" else ZoneInfo(name)
