"""System calls that a decoder has no use for, refused by the kernel. Linux only.

The limits of `sandbox` leave a process that was taken over with what needs no new file: signals and
memory of its owner, which is the same user. This closes that, and says again what the limits say.
It is a list of what is refused, not of what is allowed: what Python and its libraries need changes
with each version of them.

Sources: seccomp(2), linux/filter.h, linux/audit.h, the kernel's tables of system calls.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import Final

# Number on x86-64 and on AArch64; None where there is none.
_REFUSED: Final = {
    "accept": (43, 202), "accept4": (288, 242), "add_key": (248, 217), "bind": (49, 200),
    "bpf": (321, 280), "clone": (56, 220), "clone3": (435, 435), "connect": (42, 203),
    "creat": (85, None), "execve": (59, 221), "execveat": (322, 281), "fork": (57, None),
    "io_uring_setup": (425, 425), "kcmp": (312, 272), "keyctl": (250, 219), "kill": (62, 129),
    "listen": (50, 201), "mount": (165, 40), "open": (2, None), "openat": (257, 56),
    "openat2": (437, 437), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setns": (308, 268),
    "socket": (41, 198), "socketpair": (53, 199), "tgkill": (234, 131), "tkill": (200, 130),
    "unlink": (87, None), "unlinkat": (263, 35), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vfork": (58, None),
}  # fmt: skip
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the table, and the kernel's number of the architecture."""
_X32_BIT: Final = 0x40000000
"""Set in the numbers of x86-64's other set of calls."""

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data."""
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_calls(libc: ctypes.CDLL) -> None:
    """For this process, for good; it must not be able to gain privileges any more. Without effect
    on a kernel or machine that has no such filter: the limits hold there too."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return
    steps = _filter(*machine)
    program = _Program(len(steps) // 8, steps)
    libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)


def _filter(column: int, architecture: int) -> bytes:
    """A program for the kernel: each step is a code, jumps if true and if false, and a value."""
    numbers = [row[column] for row in _REFUSED.values() if row[column] is not None]
    count = len(numbers)
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, count + 1, 0, _X32_BIT),
        *((_EQUAL, count - index, 0, number) for index, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)
