"""The command `python -m benchmarks`: measures, and writes a report with its plots."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emotion2vec_runtime.bundle import load_bundle

from benchmarks import (
    archives,
    comparison,
    doors,
    fidelity,
    latency,
    load,
    machine,
    models,
    report,
    streams,
)
from benchmarks.rivals import PEERS

SECTIONS = ("latency", "fidelity", "peers", "load", "doors", "archives", "streams")
CARD_SECTIONS = ("peers", "load", "doors", "streams")
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Exit status 0: the report is written, its path on stdout."""
    parser = _parser()
    options = parser.parse_args()
    known = CARD_SECTIONS if options.card else SECTIONS
    wanted = options.only or known
    if not set(wanted) <= set(known):
        parser.error(f"--card measures {', '.join(CARD_SECTIONS)} only")
    # So that servers are stopped however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    here, threads, logs = machine.describe(), machine.cores(), _logs()
    print(f"logs of all servers: {logs}", file=sys.stderr)
    # The sections that are not measured stay in the report as they are.
    held = report.read(options.output) if options.only else None
    results = held or report.Results(runs={})
    run = report.Run(here, options.short, options.seed)
    for name, measure in _sections(options, logs, threads).items():
        if name in wanted:
            runs = {**results.runs, name: run}
            results = replace(results, runs=runs, **{name: measure()})
            # After each, so that a run which is stopped leaves what it has.
            path = report.write(results, options.output)
    print(path)
    return 0


def _sections(
    options: argparse.Namespace, logs: Path, threads: int
) -> dict[str, Callable[[], Any]]:
    """What each section measures with, under its name."""
    seed = options.seed
    return {
        "latency": lambda: latency.measure(_latency_plan(options.short), logs, threads),
        "fidelity": _fidelity,
        "peers": lambda: comparison.measure(
            _peer_plans(options), options.peers, logs, threads, seed
        ),
        "load": lambda: load.measure(_load_plans(options), logs, seed),
        "doors": lambda: doors.measure(_door_plans(options), logs, seed),
        "archives": lambda: archives.measure(
            archives.Plan(20, 2) if options.short else archives.Plan(), logs, threads, seed
        ),
        "streams": lambda: streams.measure(_stream_plans(options), logs, seed),
    }


def _parser() -> argparse.ArgumentParser:
    today = datetime.now(UTC).date().isoformat()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="minutes instead of an hour")
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / today,
        metavar="DIR",
        help="where the report goes (default: benchmarks/results/DATE)",
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="default: all there are")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument(
        "--card",
        action="store_true",
        help="peers, load, doors and streams with the large model in fp16 on a GPU",
    )
    parser.add_argument("--seed", type=int, default=0, help="of clips and arrivals")
    return parser


def _logs() -> Path:
    return Path(tempfile.mkdtemp(prefix="emotion2vec-benchmarks-"))


def _fidelity() -> list[fidelity.BundleFidelity]:
    with fidelity.demo() as demo:
        bundles = [demo, load_bundle(models.bundle("large"))]
        return [fidelity.measure(bundle) for bundle in bundles]


def _latency_plan(short: bool) -> latency.Plan:
    if short:
        return latency.Plan(lengths=(1, 3, 5, 10, 25), rounds=2, granularities=("utterance",))
    return latency.Plan()


def _peer_plans(options: argparse.Namespace) -> list[comparison.Plan]:
    plan = comparison.Plan
    if options.card:
        card = plan(models.ON_CARD, (1, 64, 256), ceiling_seconds=14)
        brief = replace(card, callers=(1, 64), rounds=2, seconds=3, warmup=1, ceiling_seconds=7)
        return [brief if options.short else card]
    light, middling = plan("light"), plan("middling")
    if options.short:
        brief = replace(middling, callers=(64,), rounds=2, seconds=3, warmup=1, ceiling_seconds=7)
        return [replace(brief, model="light", callers=(1, 64)), brief]
    # Enough time for the large model to answer some dozens of clips.
    large = plan("large", (8,), seconds=40, warmup=8, ceiling_seconds=140)
    return [light, middling, large]


def _load_plans(options: argparse.Namespace) -> dict[str, load.Plan]:
    if options.card:
        return {models.ON_CARD: load.Plan((1, 8, 64, 256), seconds=4 if options.short else 10)}
    if options.short:
        brief = load.Plan(seconds=3, warmup=1)
        return {"demo": brief, "middling": brief}
    large = load.Plan(seconds=20, warmup=5)
    sizes = {"large": large, models.LARGE_INT8: large}
    return {"demo": load.Plan(), "middling": load.Plan(), **sizes}


def _door_plans(options: argparse.Namespace) -> list[doors.Plan]:
    if options.card:
        return [doors.Plan(models.ON_CARD, (1, 64, 256))]
    if options.short:
        return [doors.Plan("light", (8,), rounds=2, seconds=2)]
    # Enough time for the large model to answer some dozens of clips.
    return [doors.Plan("light"), doors.Plan(models.LARGE_INT8, (1, 8), seconds=15, warmup=3)]


def _stream_plans(options: argparse.Namespace) -> dict[str, streams.Plan]:
    plan = streams.Plan
    if options.card:
        card = plan(first=64)
        brief = plan(first=128, halvings=0, modes=(True,))
        return {models.ON_CARD: brief if options.short else card}
    if options.short:
        return {"demo": plan(first=32, most=64, halvings=0, seconds=3)}
    # Long enough to see a stream of the large model degrade.
    large = plan(first=2, most=16, seconds=12)
    return {"demo": plan(), "large": large, models.LARGE_INT8: large}


if __name__ == "__main__":
    sys.exit(main())
