"""The command `python -m benchmarks`: measures, and writes a report with its plots."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import comparison, latency, load, machine, report
from benchmarks.rivals import PEERS

SECTIONS = ("latency", "peers", "load")
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Exit status 0: the report is written, its path on stdout."""
    options = _parser().parse_args()
    # So that servers are stopped however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    here, threads, logs = machine.describe(), machine.cores(), _logs()
    print(f"logs of all servers: {logs}", file=sys.stderr)
    results = report.Results(
        machine=here,
        short=options.short,
        seed=options.seed,
        latency=latency.measure(_latency_plan(options.short), logs, threads)
        if "latency" in options.only
        else None,
        peers=comparison.measure(
            _peers_plan(options.short, tuple(options.peers)), logs, threads, options.seed
        )
        if "peers" in options.only
        else None,
        load=load.measure(_load_plan(options.short), logs, options.seed)
        if "load" in options.only
        else None,
    )
    print(report.write(results, options.output))
    return 0


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
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seed", type=int, default=0, help="of clips and arrivals")
    return parser


def _logs() -> Path:
    return Path(tempfile.mkdtemp(prefix="emotion2vec-benchmarks-"))


def _latency_plan(short: bool) -> latency.Plan:
    if short:
        return latency.Plan(lengths=(1, 3, 5, 10), rounds=2, granularities=("utterance",))
    return latency.Plan()


def _peers_plan(short: bool, peers: tuple[str, ...]) -> comparison.Plan:
    if short:
        callers: dict[str, tuple[int, ...]] = {"light": (1, 64), "middling": (64,)}
        return comparison.Plan(callers, peers, rounds=2, seconds=3, warmup=1, ceiling_seconds=7)
    callers = {"light": (1, 8, 64), "middling": (1, 8, 64), "large": (8,)}
    return comparison.Plan(callers, peers)


def _load_plan(short: bool) -> load.Plan:
    if short:
        return load.Plan(("demo", "middling"), callers=(1, 8, 64), seconds=3, warmup=1)
    return load.Plan(("demo", "middling", "large"))


if __name__ == "__main__":
    sys.exit(main())
