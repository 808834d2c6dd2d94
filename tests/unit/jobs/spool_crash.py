"""Receives an answer again and again, and dies one line of code later each time.

    python -m tests.unit.jobs.spool_crash FOLDER

Each death leaves a spool of its own, `FOLDER/0001` and so on; the last one was not disturbed.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from jobs import durable, spool
from jobs.spool import Spool

WATCHED = {durable.__file__, spool.__file__}
CHUNKS = (b"first ", b"second ", b"third")


def main(folder: Path) -> None:
    """Kill at the first line, the second, and so on, until one run gets to its end."""
    for line in count(1):
        if not dies(folder / f"{line:04}", line):
            return


def dies(folder: Path, line: int) -> bool:
    """Receive in a child that is killed before its n-th line; whether there was such a line."""
    child = os.fork()
    if child == 0:
        kill_at(line)
        Spool(folder).receive("attempt", CHUNKS, facts={"seed": 1}, max_bytes=100)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def kill_at(line: int) -> None:
    """Let this process be killed just before it runs the n-th line from now."""
    lines = count(1)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line" and next(lines) == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
