"""How many files, and so connections, this process may have open."""

from __future__ import annotations

import sys
from contextlib import suppress


def raise_file_limit() -> int | None:
    """Raises the limit of open files as far as the system lets us; returns it.

    The usual 1,024 are meant for programs that use `select`. None on Windows, which has no such
    limit.
    """
    if sys.platform == "win32":
        return None
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS has a lower limit than it says.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
