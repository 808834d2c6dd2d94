"""What the sandbox can be told at its start."""

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from jobs.catalog.operation import MILLI
from jobs.errors import SettingsError
from jobs.settings import Rate, parse_rate
from jobs.stability.sandbox.faults import FaultRule

#: Stability: 150 requests in 10 s for each key.
STABILITY_RATE = Rate(requests=150, window=timedelta(seconds=10))

DELAY_FORM = re.compile(r"(\d+(?:\.\d+)?)(?:~(\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class Delay:
    """How long something takes: always the median, or lognormal around it."""

    median_seconds: float
    sigma: float = 0.0

    def draw(self, chance: Random) -> float:
        """One delay, in seconds."""
        if self.sigma == 0:
            return self.median_seconds
        return self.median_seconds * math.exp(chance.gauss(0, self.sigma))


def read_delay(text: str) -> Delay:
    """Read `1.5`, or `40~0.25` for a median of 40 s and a sigma of 0.25."""
    match = DELAY_FORM.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{text}: write a delay as SECONDS or MEDIAN~SIGMA, such as 40~0.25")
    return Delay(float(match[1]), float(match[2] or 0))


def read_rate(text: str) -> Rate | None:
    """Read `150/10s`, or `none` for no limit."""
    if text.strip() == "none":
        return None
    try:
        return Rate.model_validate(parse_rate(text))
    except ValueError as error:
        raise SettingsError(f"{text}: write a rate as 150/10s, or none") from error


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """The sandbox's settings; the defaults are what the real API does."""

    host: str = "127.0.0.1"
    #: 0 takes any free port.
    port: int = 0
    #: The keys that are let in; empty lets any key in.
    keys: tuple[str, ...] = ()
    rate: Rate | None = STABILITY_RATE
    #: Stability: 60 s of lock-out after that.
    freeze_seconds: float = 60.0
    #: Stability: one poll of one result id in 10 s. Shorter gaps are counted, not refused.
    poll_gap_seconds: float = 10.0
    #: What each key has at first.
    credits_milli: int = 10_000 * MILLI
    #: Until a synchronous answer is there.
    latency: Delay = Delay(1.5)
    #: Until an asynchronous result is there.
    async_latency: Delay = Delay(12.0)
    #: Stability: results are kept for 24 hours.
    result_hours: float = 24.0
    #: Over how long a `slow` answer is spread.
    slow_seconds: float = 5.0
    faults: tuple[FaultRule, ...] = ()
    #: Makes the sandbox's own chance repeatable.
    seed: int | None = None
    #: A folder for what must outlive the process; without it, memory only.
    state: Path | None = None

    def chance(self, purpose: str) -> Random:
        """A generator for one purpose, so that draws for one never shift another's."""
        return Random() if self.seed is None else Random(f"{self.seed}:{purpose}")
