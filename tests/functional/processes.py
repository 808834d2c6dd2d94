"""What Linux tells about processes."""

from pathlib import Path

PROC = Path("/proc")


def children(parent: int) -> list[int]:
    """The processes that this one started, the newest last."""
    tasks = PROC / str(parent) / "task"
    found: list[int] = []
    for task in tasks.glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return sorted(found)


def command(pid: int) -> list[str]:
    """The command line; empty when the process is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def peak_memory_kib(pid: int) -> int:
    """The most memory that the process ever had resident; 0 when it is gone."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines.get("VmHWM", "0 kB").split()[0])


def threads(pid: int) -> int:
    """The threads of the process; 0 when it is gone."""
    return entries(pid, "task")


def open_files(pid: int) -> int:
    """The files and sockets that the process has open; 0 when it is gone."""
    return entries(pid, "fd")


def entries(pid: int, folder: str) -> int:
    """How much a folder of the process holds."""
    try:
        return len(list((PROC / str(pid) / folder).iterdir()))
    except OSError:
        return 0
