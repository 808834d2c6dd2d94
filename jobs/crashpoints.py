"""Named places where the fault suite kills a worker: `DARKROOM_CRASH_AT=before_post:2`.

The second time that a process comes to `before_post` it kills itself, as hard as `kill -9` does.
`DARKROOM_CRASH_ONCE` names a file that is made by the first crash and prevents all others.
Without the variables a crash point costs one look into a dictionary.
"""

import os
import signal
from collections import Counter
from pathlib import Path
from threading import Lock

POINTS = frozenset(
    {
        "before_intent",
        "before_post",
        "after_post",
        "id_received",
        "mid_body",
        "spooled",
        "uploaded",
        "before_final_commit",
    }
)

_passed: Counter[str] = Counter()
_lock = Lock()


def crash_point(name: str) -> None:
    """End here if this is the place, and the time, that was asked for."""
    wanted = os.environ.get("DARKROOM_CRASH_AT")
    if wanted is None:
        return
    place, _, number = wanted.partition(":")
    if place != name:
        return
    with _lock:
        _passed[name] += 1
        if _passed[name] == int(number or 1) and _is_first():
            os.kill(os.getpid(), signal.SIGKILL)


def _is_first() -> bool:
    marker = os.environ.get("DARKROOM_CRASH_ONCE")
    if marker is None:
        return True
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
