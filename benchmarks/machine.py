"""On what, when, and with which versions something was measured."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path


def _runtime() -> str:
    """The distribution that ONNX Runtime comes from."""
    found = packages_distributions().get("onnxruntime", ["onnxruntime"])
    return "onnxruntime-gpu" if "onnxruntime-gpu" in found else "onnxruntime"


RUNTIME = _runtime()
PACKAGES = ("emotion2vec-server", RUNTIME, "numpy", "grpcio", "funasr", "torch")
_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_int8": "AMX int8",
}
"""What decides the speed of matrix products: its name in /proc/cpuinfo, and in the world."""


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
    cards: tuple[str, ...]
    """GPUs that this process may use."""
    busy: float
    """Load average of the last minute before the run: other work disturbs timings."""

    @property
    def instruction_set(self) -> str:
        """The instructions in a line, which says where those are missing that int8 lives on."""
        has_int8 = any("VNNI" in name or "int8" in name for name in self.instructions)
        return ", ".join(self.instructions if has_int8 else (*self.instructions, "no VNNI"))

    @property
    def summary(self) -> str:
        """Where, and with which versions, in two lines."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"""{self.cores} cores of {self.processor} ({self.instruction_set}), \
{self.memory_gib:g} GiB, {", ".join(self.cards) or "no GPU"}, {self.system}.
Python {self.python}, {versions}."""


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
        instructions=tuple(name for flag, name in _INSTRUCTIONS.items() if flag in known),
        memory_gib=round(pages / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=versions(PACKAGES),
        cards=_cards(),
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        busy=os.getloadavg()[0],
    )


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _cards() -> tuple[str, ...]:
    try:
        from emotion2vec_runtime.backends.tensorrt import cuda
    except ImportError:  # Only GPU installations have CUDA's bindings.
        return ()
    return tuple(device.name for device in cuda.devices())


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
