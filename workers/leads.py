"""How long before its slot a paid call must be made ready, learned from the calls before it."""

from dataclasses import dataclass, field

#: How much of the last time enters the mean.
SMOOTHING = 0.2
#: The wait is planned for a little more than the mean, and never for more than this: a call that
#: is ready too early keeps a thread. A step that takes longer has failed, or soon will.
MARGIN = 1.25
LONGEST = 5.0


@dataclass
class Lead:
    """The mean time that a step takes, in seconds."""

    mean: float = 0.02

    def learn(self, seconds: float) -> None:
        """One more of them. Threads may overwrite each other's: it is a mean."""
        self.mean += SMOOTHING * (seconds - self.mean)

    @property
    def seconds(self) -> float:
        """What to allow for it."""
        return min(LONGEST, MARGIN * self.mean)


@dataclass
class Leads:
    """The steps between the wait and the slot."""

    connecting: Lead = field(default_factory=Lead)
    committing: Lead = field(default_factory=Lead)

    @property
    def seconds(self) -> float:
        """What to allow for both."""
        return self.connecting.seconds + self.committing.seconds
