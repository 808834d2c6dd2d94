"""What each key did and paid, counted so that tests can check it."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from jobs.stability.sandbox.window import Window


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One paid generation."""

    id: str
    operation: str
    credits_milli: int
    seed: int
    #: Seconds since the epoch.
    at: float
    prompt_sha256: str | None
    inputs_sha256: str
    #: What the caller sent as `stability-client-user-id`.
    client_ref: str | None
    result_id: str | None = None


@dataclass
class Crowd:
    """Requests in flight: now, and at the worst moment."""

    now: int = 0
    largest: int = 0

    def enter(self) -> None:
        """One more."""
        self.now += 1
        self.largest = max(self.largest, self.now)

    def leave(self) -> None:
        """One less."""
        self.now -= 1

    def forget(self) -> None:
        """Start looking for the worst moment again."""
        self.largest = self.now


@dataclass
class Counts:
    """What `DELETE /_sandbox/ledger` empties."""

    charges: dict[str, Charge] = field(default_factory=dict)
    #: Ids of the charges whose answer went out whole.
    answered: set[str] = field(default_factory=set)
    #: When each result was asked for, in monotonic seconds.
    polls: dict[str, list[float]] = field(default_factory=dict)
    requests: int = 0
    #: Answers of 429.
    refusals: int = 0
    by_operation: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Account:
    """One key: its balance, its window and its counts. Of the key itself only a digest is kept."""

    def __init__(self, *, index: int, digest: str, credits_milli: int, window: Window) -> None:
        self.index = index
        self.digest = digest
        self.balance_milli = credits_milli
        self.window = window
        self.counts = Counts()
        self.crowd = Crowd()

    def note_poll(self, result_id: str, arrived: float) -> None:
        """Write down when a result was asked for, in monotonic seconds."""
        self.counts.polls.setdefault(result_id, []).append(arrived)

    def forget(self) -> None:
        """Empty the counts; balance and limit stay."""
        self.counts = Counts()
        self.crowd.forget()
        self.window.forget()

    def report(self, *, poll_gap_seconds: float, brief: bool = False) -> dict[str, Any]:
        """The account as JSON; brief leaves out what grows with every job."""
        counts = self.counts
        gaps = [gap for times in counts.polls.values() for gap in gaps_of(times)]
        summary = {
            "index": self.index,
            "key_sha256": self.digest,
            "balance_milli": self.balance_milli,
            "charged_milli": sum(charge.credits_milli for charge in counts.charges.values()),
            "charged": len(counts.charges),
            "unanswered": len(counts.charges) - len(counts.answered),
            "requests": counts.requests,
            "refusals": counts.refusals,
            "max_in_window": self.window.max_in_window,
            "in_flight": self.crowd.now,
            "max_in_flight": self.crowd.largest,
            "by_operation": dict(counts.by_operation),
            "by_status": dict(counts.by_status),
            "faults": dict(counts.faults),
            "poll_count": sum(len(times) for times in counts.polls.values()),
            "poll_min_gap": min(gaps, default=None),
            "poll_gaps_too_short": sum(gap < poll_gap_seconds for gap in gaps),
        }
        return summary if brief else {**summary, **self.details()}

    def details(self) -> dict[str, Any]:
        """Every charge, and every poll of every result."""
        return {
            "charges": [
                {**asdict(charge), "answered": charge.id in self.counts.answered}
                for charge in self.counts.charges.values()
            ],
            "polls": {
                result_id: {"times": times, "min_gap": min(gaps_of(times), default=None)}
                for result_id, times in self.counts.polls.items()
            },
        }


def gaps_of(times: list[float]) -> list[float]:
    """The seconds between each two neighbours."""
    return [later - earlier for earlier, later in pairwise(times)]
