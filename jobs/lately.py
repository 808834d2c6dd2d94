"""What was found out lately, for whoever asks again soon: one look serves them all."""

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

#: Answers kept at once; beyond, all are looked up afresh.
MOST_KNOWN = 256


class Lately:
    """Answers that are good for so many seconds; safe to share between threads.

    All are forgotten at once, so that they speak of about the same moment.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._known: dict[Hashable, Any] = {}

    def recall(self, question: Hashable, look: Callable[[], T]) -> T:
        """The answer that is known, or the one that `look` finds."""
        moment = time.monotonic()
        if moment >= self._until or len(self._known) >= MOST_KNOWN:
            self._known, self._until = {}, moment + self._seconds
        # What is forgotten while somebody looks is not to be brought back by what he saw.
        known = self._known
        if question not in known:
            known[question] = look()
        answer: T = known[question]
        return answer

    def forget(self) -> None:
        """Look at everything afresh: it was changed just now."""
        self._known = {}
