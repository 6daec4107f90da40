"""Workers that end with the process that started them, also when that one is killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def end_with_parent() -> None:
    """Asks the system to kill this process, a child of multiprocessing, with its parent.

    Without it a worker waits for ever for a task that nobody will send.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # It ended before we asked.
        os._exit(1)
