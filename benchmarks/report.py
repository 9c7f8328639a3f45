"""The report: one Markdown page with plots, from what the sections measured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter

from benchmarks import plots
from benchmarks.comparison import OURS, Comparison
from benchmarks.fidelity import BundleFidelity
from benchmarks.fidelity import section as fidelity_section
from benchmarks.floor import Floor
from benchmarks.latency import REFERENCE, TARGET_SECONDS, Latency
from benchmarks.load import Load, Overload
from benchmarks.machine import Machine
from benchmarks.markdown import errors, table
from benchmarks.speech import Mix
from benchmarks.streams import Streams
from benchmarks.streams_report import streams_section

GIB, MIB = 2**30, 2**20
_TARGET = " to ".join(f"{seconds:g}" for seconds in TARGET_SECONDS)


@dataclass(frozen=True, slots=True)
class Results:
    """What one run measured; None for a section that did not run."""

    machine: Machine
    short: bool
    seed: int
    load: Load | None = None
    peers: Comparison | None = None
    latency: Latency | None = None
    fidelity: list[BundleFidelity] | None = None
    streams: Streams | None = None


def read(directory: Path) -> Results | None:
    """What `write` left there."""
    path = directory / "results.json"
    return TypeAdapter(Results).validate_json(path.read_bytes()) if path.exists() else None


def write(results: Results, directory: Path) -> Path:
    """Writes results.json, the plots and report.md into `directory`; the path of the latter."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = json.dumps(asdict(results), indent=1)
    (directory / "results.json").write_text(raw + "\n", encoding="utf-8")
    parts = [_head(results)]
    if results.latency:
        parts.append(latency_section(results.latency, plots.latency(results.latency, directory)))
    if results.fidelity:
        parts.append(fidelity_section(results.fidelity))
    if results.peers:
        picture = plots.peers(results.peers, directory) if results.peers.turns else ""
        parts.append(peers_section(results.peers, picture))
    if results.load:
        parts.append(load_section(results.load, plots.load(results.load, directory)))
    if results.streams:
        parts.append(streams_section(results.streams, plots.streams(results.streams, directory)))
    path = directory / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _head(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    form = "short form" if results.short else "full form"
    return f"""# Benchmarks

{machine.date}, {form}, seed {results.seed}.
{machine.cores} cores of {machine.processor} ({machine.instruction_set}), \
{machine.memory_gib:g} GiB, {", ".join(machine.cards) or "no GPU"}, {machine.system}.
Python {machine.python}, {versions}.
Load average before the run: {machine.busy:.2f}. All processes share these cores, the load
generator's too, so ratios within one table say more than its absolute figures."""


def latency_section(result: Latency, picture: str) -> str:
    names = list(result.starts)
    shown = [name for name in names if name != REFERENCE]
    granularities = list(dict.fromkeys(call.granularity for call in result.calls))
    parts = [
        "## Latency: FunASR and our bundle",
        f"emotion2vec+ large with random weights, {result.threads} threads for each, one clip at a "
        "time, the contestants taking turns; median seconds, and how many times as fast as FunASR. "
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
            means = [f"**{result.speedup(name):.2f}x**" for name in shown]
            rows.append(["geometric mean", "", *means])
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


def peers_section(result: Comparison, picture: str) -> str:
    versions = ", ".join(f"{name} ({text})" for name, text in result.versions.items())
    parts = [
        "## Peers",
        f"The same graph, clips ({_mix(result.mix)}), threads and closed loop for all, in "
        f"alternating rounds: {versions}. How each is configured, and why, stands at the top of "
        "its file in `benchmarks/peers/`. Triton's wheel has no ONNX Runtime backend, so it runs "
        "its Python backend. The peers take arrays, so that all are sent raw 16-bit samples; "
        f"{OURS} was then sent the same clips as MP3 and as FLAC, which a peer's user would have "
        "to decode. The ceiling is a loop in one process at its best batch size, without "
        "any serving; with a core to spare, the models of all and the ceiling run on one core less "
        "than there are. Throughput is in seconds of speech a second, the median of the rounds; "
        "*ours by its* is the median of the rounds' ratios, ours with raw samples.",
    ]
    if picture:
        parts.append(f"![peers]({picture})")
    for model in dict.fromkeys(turn.model for turn in result.turns):
        best = result.ceilings[model]
        parts.append(
            f"### {model}\n\nCeiling: {plots.rate_text(best.rate)} speech seconds a second, in "
            f"batches of {best.batch}."
        )
        parts.append(table(_PEER_HEADER, _peer_rows(result, model)))
    parts += [f"Left out: {name} {reason}." for name, reason in result.failures.items()]
    return "\n\n".join(parts)


_PEER_HEADER = (
    "server, callers",
    "speech-s/s",
    "requests/s",
    "of ceiling",
    "ours by its",
    "p50, ms",
    "p95, ms",
    "p99, ms",
    "server CPU, ms",
    "client CPU, ms",
    "errors",
)


def _peer_rows(result: Comparison, model: str) -> Iterable[list[str]]:
    turns = [turn for turn in result.turns if turn.model == model]
    for callers in dict.fromkeys(turn.callers for turn in turns):
        for server in dict.fromkeys(turn.server for turn in turns):
            cells = [
                turn.cell for turn in turns if (turn.server, turn.callers) == (server, callers)
            ]
            if not cells:
                continue
            rate = median(cell.audio_rate for cell in cells)
            ratio = result.ratio(model, server, callers)
            yield [
                f"{_bold(server) if server.startswith(OURS) else server}, {callers}",
                plots.rate_text(rate),
                f"{median(cell.rate for cell in cells):,.1f}",
                f"{rate / result.ceilings[model].rate:.0%}",
                "" if server == OURS or ratio is None else f"{ratio:.2f}x",
                *(
                    f"{1000 * median(getattr(cell.latency, level) for cell in cells):,.1f}"
                    for level in ("p50", "p95", "p99")
                ),
                f"{median(cell.server_cpu for cell in cells):,.2f}",
                f"{median(cell.client_cpu for cell in cells):,.2f}",
                errors([cell.errors for cell in cells]),
            ]


def _bold(text: str) -> str:
    return f"**{text}**"


def load_section(result: Load, picture: str) -> str:
    memory = ", ".join(
        f"{name} {size / MIB:,.0f} MiB" for name, size in result.resident_bytes.items()
    )
    rows = [
        [
            loop.model,
            loop.encoding,
            str(loop.callers) if loop.callers else f"open, {loop.share:.0%}: {loop.offered:.3g}/s",
            f"{loop.cell.rate:,.1f}",
            f"{loop.cell.audio_rate:,.1f}",
            *(
                f"{1000 * getattr(loop.cell.latency, level):,.1f}"
                for level in ("p50", "p95", "p99")
            ),
            f"{1000 * loop.cell.queue:,.1f}",
            f"{1000 * loop.cell.inference:,.1f}",
            f"{loop.cell.batch:.1f}",
            "" if loop.cell.padding is None else f"{loop.cell.padding:.1%}",
            "" if loop.cell.busy is None else f"{loop.cell.busy:.0%}",
            f"{loop.cell.server_cpu:,.2f}",
            f"{loop.cell.client_cpu:,.2f}",
            errors([loop.cell.errors]),
        ]
        for loop in result.loops
    ]
    return "\n\n".join(
        (
            "## Load",
            "Our server through our asyncio client, which runs in a process of its own. Clips: "
            f"{_mix(result.mix)}, 16 kHz; raw is 16-bit samples. Open loops are Poisson arrivals "
            "at a share of the best rate of a closed loop with raw samples; their latencies count "
            "from the planned arrival. "
            f"Resident after the loops: {memory}.",
            f"![load]({picture})",
            table(_LOAD_HEADER, rows),
            "Overload: so many times the capacity, from callers who give each call a deadline and "
            "do not try again. *Refused after*: until a caller was told RESOURCE_EXHAUSTED.",
            table(_OVERLOAD_HEADER, [_overload_row(overload) for overload in result.overloads]),
        )
    )


_OVERLOAD_HEADER = (
    "model",
    "offered a second",
    "answered",
    "deadline, s",
    "answer p50, ms",
    "p99, ms",
    "worst, ms",
    "refused after p50, ms",
    "p99, ms",
    "worst, ms",
    "not answered",
    "resident before, MiB",
    "after",
)


def _overload_row(overload: Overload) -> list[str]:
    before, after = overload.resident_bytes
    return [
        overload.model,
        f"{overload.offered:,.0f}",
        f"{overload.answered:,.0f}",
        f"{overload.deadline:g}",
        *(
            f"{1000 * getattr(durations, level):,.1f}"
            for durations in (overload.latency, overload.refused)
            for level in ("p50", "p99", "worst")
        ),
        errors([overload.errors]),
        f"{before / MIB:,.0f}",
        f"{after / MIB:,.0f}",
    ]


_LOAD_HEADER = (
    "model",
    "bodies",
    "callers",
    "requests/s",
    "speech-s/s",
    "p50, ms",
    "p95, ms",
    "p99, ms",
    "queue p50, ms",
    "model p50, ms",
    "batch",
    "padding",
    "model busy",
    "server CPU, ms",
    "client CPU, ms",
    "errors",
)


def _mix(mix: Mix) -> str:
    return f"{mix.shortest:g} to {mix.longest:g} s, median {mix.median:g} s"
