"""What a decoder process may not do, and what it may cost. Linux only.

It has read a stranger's bytes with half a million lines of C, so it is held as if it were the
stranger's. It keeps the few files that it was born with and can open no other, neither a path nor a
socket; it can start no process; it can't write beyond the memory that it shares; it gives up root;
it dies with the process that it was forked from.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 512 << 20
"""Address space beyond what Python and FFmpeg take by themselves. The index of a 12 h MP4 takes a
third; a file that makes FFmpeg ask for more is none that anybody recorded."""
TURN_SECONDS: Final = 10
"""CPU time from a message to the next one, in which at most `link.LARGEST` bytes come in or 16 s of
audio go out. Honest files take a hundredth."""
_NOBODY = 65534

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def enter() -> None:
    """Binds this process, for good."""
    used = _address_space()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    for option, value in (
        (_PR_SET_PDEATHSIG, signal.SIGKILL),
        (_PR_SET_DUMPABLE, 0),
        (_PR_SET_NO_NEW_PRIVS, 1),
    ):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    for limit, value in (
        (resource.RLIMIT_AS, used + MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(limit, (value, value))


def begin_turn() -> None:
    """Gives this process `TURN_SECONDS` from now; after them the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + TURN_SECONDS + 1, resource.RLIM_INFINITY))


def _address_space() -> int:
    """Bytes of this process, as RLIMIT_AS counts them."""
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
