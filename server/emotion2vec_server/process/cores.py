"""How many processor cores this process may use, and how a model uses them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_CORES_OF_AN_INSTANCE = 8
"""Beyond these one clip gets hardly faster (docs/cpu.md), while two clips at once do."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores(quota_file: Path = _QUOTA) -> int:
    """Cores by affinity, or by the container's CPU quota (cgroup v2) where that is less."""
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return affinity
    if quota == "max":
        return affinity
    return max(1, min(affinity, round(int(quota) / int(period))))


class Share(NamedTuple):
    """How a model uses the cores."""

    instances: int
    """Batches that run at once."""
    threads: int
    """Cores of each."""

    @property
    def pool(self) -> int:
        """Threads that all instances share, counting one caller: the others bring their own."""
        return self.instances * (self.threads - 1) + 1


def share_cores(cores: int, *, instances: int = 0, threads: int = 0) -> Share:
    """Divides the cores among instances; what is not 0 is taken as it is."""
    if not instances:
        instances = max(1, cores // (threads or _CORES_OF_AN_INSTANCE))
    return Share(instances, threads or max(1, cores // instances))
