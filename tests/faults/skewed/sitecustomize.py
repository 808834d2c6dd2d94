"""Sets this process's clock ten minutes ahead; Python imports it before anything else."""

import datetime
import time
from typing import Any

AHEAD_SECONDS = 600

true_time, true_time_ns = time.time, time.time_ns
TrueDatetime = datetime.datetime


class LooksTrue(type):
    """Lets a time that another library made be an instance of the class below."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TrueDatetime)


class SkewedDatetime(TrueDatetime, metaclass=LooksTrue):
    """A datetime whose present is ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """The time, as this machine believes."""
        return TrueDatetime.now(tz) + datetime.timedelta(seconds=AHEAD_SECONDS)

    @classmethod
    def utcnow(cls) -> Any:
        """The same without a zone."""
        return TrueDatetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(
            seconds=AHEAD_SECONDS
        )


time.time = lambda: true_time() + AHEAD_SECONDS
time.time_ns = lambda: true_time_ns() + AHEAD_SECONDS * 10**9
datetime.datetime = SkewedDatetime  # type: ignore[misc]
