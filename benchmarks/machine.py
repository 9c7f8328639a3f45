"""On what, when, and with which versions something was measured."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("emotion2vec-server", "onnxruntime", "numpy", "grpcio", "funasr", "torch")
_INSTRUCTIONS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8")
"""What decides the speed of matrix products, as /proc/cpuinfo calls it."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when."""

    processor: str
    cores: int
    """That this process may use."""
    instructions: tuple[str, ...]
    memory_gib: float
    system: str
    python: str
    versions: dict[str, str]
    date: str
    """UTC, ISO 8601."""
    busy: float
    """Load average of the last minute before the run: other work disturbs timings."""


def describe() -> Machine:
    """This machine, now."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.+)", cpuinfo)
    flags = re.search(r"flags\s*: (.+)", cpuinfo)
    known = set(flags[1].split()) if flags else set()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        processor=name[1] if name else platform.machine(),
        cores=cores(),
        instructions=tuple(flag for flag in _INSTRUCTIONS if flag in known),
        memory_gib=round(pages / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={package: version(package) for package in PACKAGES},
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        busy=os.getloadavg()[0],
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
