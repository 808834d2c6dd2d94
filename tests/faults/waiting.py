"""Conditions that must come true before a deadline, and those that must simply hold."""

import time
from collections.abc import Callable

LOOK_SECONDS = 0.1


class Broken(AssertionError):
    """A promise was not kept."""


def expect(condition: bool, sentence: str) -> None:
    """Raise Broken unless the sentence is true."""
    if not condition:
        raise Broken(f"not so: {sentence}")


def until(condition: Callable[[], bool], sentence: str, seconds: float = 60) -> None:
    """Wait until the sentence is true; raises Broken if that does not come about in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(f"waited {seconds:g} s in vain until {sentence}")
        time.sleep(LOOK_SECONDS)


def hold(seconds: float) -> None:
    """Keep a fault up for so long: its length is the experiment's own measure."""
    time.sleep(seconds)
