"""Who runs what in a home: a lock for each name, which the kernel frees when its owner dies."""

import fcntl
import os
from pathlib import Path


class Lock:
    """The right to run `name` in a home; one process has it at a time."""

    def __init__(self, home: Path, name: str) -> None:
        self._path = lock_path(home, name)
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take it without waiting; False if another has it."""
        if self._descriptor is not None:
            return True
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def running(home: Path, name: str) -> bool:
    """Whether some process, this one too, runs `name` in this home."""
    try:
        descriptor = os.open(lock_path(home, name), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # A shared lock: two who ask at once do not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_path(home: Path, name: str) -> Path:
    """Where the lock of `name` lies."""
    return home / "run" / f"{name}.lock"
