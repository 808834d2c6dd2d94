"""Who holds a lease: a process's name, from which others on its machine can tell if it lives."""

import os
from functools import cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """Names the time since this machine was started; empty where that is not known."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


@cache
def machine() -> str:
    """This machine since it started, and this container on it: where process ids have a meaning."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return ""
    return f"{boot_id()[:8]}-{space}" if boot_id() else ""


def started(pid: int) -> str | None:
    """When a process began, in clock ticks since the machine did; None if there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    # The name, in brackets, may hold blanks: what follows it does not. The state is the first of
    # these, the start the 20th; a zombie is dead.
    rest = status.rpartition(")")[2].split()
    return None if rest[0] == "Z" else rest[19]


def owner_name() -> str:
    """The name of this process."""
    pid = os.getpid()
    return f"{os.uname().nodename}:{machine()}:{pid}:{started(pid) or ''}"


def is_dead(owner: str) -> bool:
    """Whether the process of that name has surely ended; False for any that cannot be judged."""
    parts = owner.rsplit(":", 3)
    if len(parts) != 4 or not machine() or parts[1] != machine() or not parts[2].isdigit():
        return False
    return started(int(parts[2])) != parts[3]
