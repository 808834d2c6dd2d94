"""On what it was measured: a figure without its machine says nothing."""

import os
import platform
import subprocess
from pathlib import Path

GIB = 1 << 30


def describe() -> dict[str, str]:
    """The machine, its load at the start, and what is measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{memory / GIB:.0f} GiB",
        "load": load,
        "python": platform.python_version(),
        "commit": commit(),
    }


def processor() -> str:
    """The processor's model, as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    """The commit that is measured."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"
