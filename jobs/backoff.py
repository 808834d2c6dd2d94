"""How long to wait before the next try: pure arithmetic and one die."""

import random
from datetime import timedelta

#: The first wait, which doubles with every try, and the longest.
FIRST = timedelta(seconds=2)
LONGEST = timedelta(seconds=60)


def ceiling(tries: int) -> timedelta:
    """The longest wait after so many failed tries, counted from 0."""
    return min(FIRST * int(2 ** min(tries, 16)), LONGEST)


def delay(tries: int) -> timedelta:
    """A wait between half of the ceiling and all of it: spread, but never at once."""
    return ceiling(tries) * random.uniform(0.5, 1.0)
