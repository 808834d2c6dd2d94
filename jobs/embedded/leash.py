"""Run as a script between fork and the real program: binds this process's life to its parent's.

    python -I -S leash.py PARENT_PID PROGRAM ARGUMENT...

A script and not `preexec_fn`, which may deadlock in a process with threads; it costs about 15 ms.
Only Linux has this leash. Elsewhere a parent that is killed leaves its children running.
"""

import ctypes
import os
import signal
import sys

#: linux/prctl.h: the signal that a process gets when its parent dies; it outlives exec.
PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Put the leash on and become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the leash was on.
    if os.getppid() == parent:
        os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
