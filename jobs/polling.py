"""When to ask for a result: at least `gap` apart, and ever later the longer it takes."""

from datetime import timedelta

#: Each wait is longer than the last by this factor.
GROWTH = 1.5
#: The longest wait: a result is fetched at most so long after it is ready.
LONGEST = timedelta(seconds=60)


def poll_delay(gap: timedelta, polls: int) -> timedelta:
    """The wait before the next poll, after so many."""
    return max(gap, min(gap * GROWTH ** min(polls, 32), LONGEST))
