"""The report: one Markdown page with plots, from what the sections measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks import plots
from benchmarks.archives import Archives
from benchmarks.archives_report import archives_section
from benchmarks.comparison import Comparison
from benchmarks.comparison_report import peers_section
from benchmarks.doors import Doors
from benchmarks.doors_report import doors_section
from benchmarks.fidelity import BundleFidelity
from benchmarks.fidelity import section as fidelity_section
from benchmarks.latency import Latency
from benchmarks.latency_report import latency_section
from benchmarks.load import Load
from benchmarks.load_report import load_section
from benchmarks.machine import Machine
from benchmarks.streams import Streams
from benchmarks.streams_report import streams_section


@dataclass(frozen=True, slots=True)
class Run:
    """How a section was measured."""

    machine: Machine
    short: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured; None for a section that did not run."""

    runs: dict[str, Run]
    """By section."""
    load: Load | None = None
    peers: Comparison | None = None
    latency: Latency | None = None
    fidelity: list[BundleFidelity] | None = None
    doors: Doors | None = None
    archives: Archives | None = None
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
    if results.doors:
        parts.append(doors_section(results.doors))
    if results.archives:
        parts.append(archives_section(results.archives))
    if results.streams:
        parts.append(streams_section(results.streams, plots.streams(results.streams, directory)))
    path = directory / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _head(results: Results) -> str:
    machines = list(dict.fromkeys(run.machine.summary for run in results.runs.values()))
    sections: dict[str, list[str]] = {}
    for name, run in results.runs.items():
        here, form = run.machine, "short" if run.short else "full"
        place = machines.index(here.summary) + 1
        how = f"{form} | {run.seed} | {here.date} | {here.busy:.2f} | {place} |"
        sections.setdefault(how, []).append(name)
    return "\n".join(
        (
            "# Benchmarks",
            "",
            "All processes share the cores, the load generator's too, so ratios within one table "
            "say more than its absolute figures.",
            "",
            *(f"{number}. {machine}" for number, machine in enumerate(machines, 1)),
            "",
            "| sections | form | seed | begun | load average before | machine |",
            "| --- | --- | ---: | --- | ---: | ---: |",
            *(f"| {', '.join(names)} | {how}" for how, names in sections.items()),
        )
    )
