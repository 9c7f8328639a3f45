"""The command `python -m benchmarks.soak`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import benchmarks.soak
from benchmarks.soak.report import write
from benchmarks.soak.result import VICTIM_GROUPS, Plan
from benchmarks.soak.run import run

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Exit status 0: no fault."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=benchmarks.soak.__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--streams", type=int, default=50, help="at once (default: 50)")
    parser.add_argument("--minutes", type=float, default=30, help="(default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of lives and places in the speech")
    today = datetime.now(UTC).date().isoformat()
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / today,
        metavar="DIR",
        help="where soak.md goes (default: benchmarks/results/DATE)",
    )
    options = parser.parse_args()
    if options.streams < 5 * VICTIM_GROUPS or options.minutes <= 0:
        parser.error(f"a soak takes {5 * VICTIM_GROUPS} streams or more, and some time")
    # So that the server and the callers are stopped however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logs = Path(tempfile.mkdtemp(prefix="emotion2vec-soak-"))
    print(f"logs: {logs}", file=sys.stderr)
    soak = run(Plan(options.streams, 60 * options.minutes, seed=options.seed), logs)
    print(write(soak, options.output))
    faults = soak.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
