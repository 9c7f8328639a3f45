"""Whether a TensorRT engine fits this machine, and how a batch fits an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emotion2vec_runtime.bundle import Engine, LibraryName, Profile

_STEP = 4000
"""Samples (0.25 s) to which batches are padded, so that shapes repeat: a shape's first run costs
TensorRT-RTX a compilation, and is what a CUDA graph saves the launches of from then on."""


class Machine(NamedTuple):
    """What decides whether an engine runs here."""

    libraries: Mapping[LibraryName, str]
    """Versions of those that are installed."""
    compute_capabilities: Sequence[str]
    """Of the cards, as "9.0"; none where there is no card or no driver."""


def misfit(engine: Engine, machine: Machine, *, graphs: Sequence[str], longest: int) -> str | None:
    """Why `engine` can't run here, in one phrase; None where it can.

    Args:
        engine: what the manifest says of it.
        machine: what is here.
        graphs: SHA-256 of the ONNX graphs in its bundle.
        longest: samples of the longest clip that will be asked for.
    """
    version = machine.libraries.get(engine.library)
    foreign = sorted(set(machine.compute_capabilities) - set(engine.compute_capabilities))
    reach = max(profile.maximum[1] for profile in engine.profiles)
    if version is None:
        return f"{engine.library} is not installed"
    if version != engine.version:
        return f"it was built by {engine.library} {engine.version}, and {version} is installed"
    if not machine.compute_capabilities:
        return "CUDA finds no card here, or no driver for it"
    if foreign:
        built = ", ".join(engine.compute_capabilities)
        return f"it was built for compute capability {built}, and here is a card of {foreign[0]}"
    if engine.onnx_sha256 not in graphs:
        return "it was built from another graph than those in its bundle"
    if longest > reach:
        return f"it takes {reach / 16000:g} s at most, and longer windows are asked for"
    return None


def round_up(samples: int, profiles: Sequence[Profile]) -> int:
    """Samples to pad a batch to, so that its shape is one of few."""
    reach = max(profile.maximum[1] for profile in profiles)
    return max(samples, min(reach, -(-samples // _STEP) * _STEP))


def choose_profile(profiles: Sequence[Profile], rows: int, samples: int) -> int | None:
    """Index of the tightest profile that takes such a batch; None where none does."""
    fitting = [
        index
        for index, profile in enumerate(profiles)
        if profile.minimum[0] <= rows <= profile.maximum[0]
        and profile.minimum[1] <= samples <= profile.maximum[1]
    ]
    return min(fitting, key=lambda index: profiles[index].maximum[1], default=None)


def most_rows(profiles: Sequence[Profile], samples: int) -> int:
    """Most rows of so many samples that a profile takes; 0 where none takes such samples."""
    return max(
        (p.maximum[0] for p in profiles if p.minimum[1] <= samples <= p.maximum[1]), default=0
    )
