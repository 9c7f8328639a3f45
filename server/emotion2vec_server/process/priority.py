"""Who goes first where the model takes all cores: the event loop.

A model computes for a second on end, the event loop for a fraction of a millisecond. Side by side
as equals, the loop would wait for its turn behind the model at every step of every call, refusals
and health checks included. It needs little, so the model loses little by giving way.
"""

from __future__ import annotations

import os
import sys
import threading

_NICER = 5
"""A third of the processor time where both want it (sched(7): 335 of 1024)."""


def give_way() -> None:
    """Puts this thread, and all that it starts, behind the process's main thread.

    Without effect elsewhere than on Linux, which gives each thread a priority of its own.
    """
    if sys.platform == "linux":
        main = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), main + _NICER)
