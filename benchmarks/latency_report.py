"""The report's section on latency."""

from __future__ import annotations

from statistics import median

from benchmarks.floor import Floor
from benchmarks.latency import REFERENCE, TARGET_SECONDS, Latency
from benchmarks.markdown import GIB, spread, table

_TARGET = " to ".join(f"{seconds:g}" for seconds in TARGET_SECONDS)


def latency_section(result: Latency, picture: str) -> str:
    names = list(result.starts)
    shown = [name for name in names if name != REFERENCE]
    granularities = list(dict.fromkeys(call.granularity for call in result.calls))
    parts = [
        "## Latency: FunASR and our bundle",
        f"emotion2vec+ large with random weights, {result.threads} threads for each, one clip at a "
        "time, the contestants taking turns; median seconds, and how many times as fast as FunASR. "
        "The mean is the median of the rounds', with the least and the largest. "
        f"The web page of today promises {_TARGET} s on a GPU.",
        f"![latency]({picture})",
    ]
    for granularity in granularities:
        rows = [
            [
                f"{length:g} s",
                f"{result.seconds(REFERENCE, length, granularity):.2f}",
                *(_with_ratio(result, name, length, granularity) for name in shown),
            ]
            for length in result.lengths
        ]
        if granularity == "utterance":
            means = [f"**{spread(result.speedups(name))}**" for name in shown]
            rows.append(["geometric mean, by round", "", *means])
        parts.append(table([f"audio, by {granularity}", *names], rows))
    if result.floor:
        parts += _floor(result, result.floor)
    parts.append(
        "Each alone: start to ready, start to first answer (1 s of audio), memory, and CPU."
    )
    parts.append(table(_COST_HEADER, [_cost_row(result, name) for name in names]))
    return "\n\n".join(parts)


def _floor(result: Latency, floor: Floor) -> list[str]:
    """What share of the products' own rate the bundles reach."""
    precisions = [name for name in result.starts if name.startswith("bundle ")]
    rows = []
    for length in result.lengths:
        cells = [f"{length:g} s"]
        for name in precisions:
            least = floor.seconds(name.removeprefix("bundle "), round(length * 50) - 1)
            cells.append(f"{least:.2f} ({least / result.seconds(name, length):.0%})")
        rows.append(cells)
    return [
        f"The floor: its products alone, at the rates of ONNX Runtime's own on these threads "
        f"({floor.float32:.0f} GFLOP/s in float32, {floor.int8:.0f} in int8, "
        f"{floor.frames} frames), in seconds, and what share of that rate the whole reaches.",
        table(["audio", *precisions], rows),
    ]


_COST_HEADER = (
    "",
    "ready, s",
    "first answer, s",
    "resident, GiB",
    "peak at longest clip, GiB",
    "CPU-s a second of speech",
    "probability differs by",
)


def _with_ratio(result: Latency, name: str, length: float, granularity: str) -> str:
    seconds = result.seconds(name, length, granularity)
    ratio = result.seconds(REFERENCE, length, granularity) / seconds
    return f"{seconds:.2f} ({ratio:.2f}x)"


def _cost_row(result: Latency, name: str) -> list[str]:
    start, longest = result.starts[name], max(result.lengths)
    peak = max(cost.peak for cost in result.costs(name, longest))
    cpu = median(cost.cpu_seconds for cost in result.costs(name, longest)) / longest
    return [
        name,
        f"{start.ready:.1f}",
        f"{start.first_answer:.1f}",
        f"{start.resident / GIB:.2f}",
        f"{peak / GIB:.2f}",
        f"{cpu:.2f}",
        "" if name == REFERENCE else f"{result.difference(name):.1e}",
    ]
