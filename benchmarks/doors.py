"""What HTTP costs beside gRPC: `python -m benchmarks.doors [MODEL ...]` prints a table.

The same clips at both doors of one server, taking turns, so that what disturbs one disturbs the
other. CPU counts, not time: it stands still while other processes have the cores.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import loadgen, models
from benchmarks.bodies import RAW
from benchmarks.cell import Cell
from benchmarks.loadgen import Job
from benchmarks.markdown import errors, table
from benchmarks.process import Server, emotion2vec_server

DOORS = ("recognize", "http")
"""As `targets` calls them: gRPC, HTTP."""
CALLERS = (1, 8, 64)
ENCODINGS = (RAW, "mp3")
ROUNDS = 3
SECONDS = 5.0
WARMUP = 1.0
HEADER = (
    *("model", "bodies", "callers", "gRPC, ms of CPU", "HTTP, ms of CPU", "ratio"),
    *("gRPC, answers a second", "HTTP, answers a second", "errors"),
)


def main(names: list[str]) -> None:
    rows: list[list[str]] = []
    for name in names or ["light"]:
        log = Path(tempfile.mkdtemp(prefix="emotion2vec-doors-"), "server.log")
        with emotion2vec_server(log, *models.server_arguments(name)) as server:
            for encoding in ENCODINGS:
                for callers in CALLERS:
                    rows.append(
                        [name, encoding, str(callers), *_compare(server, encoding, callers)]
                    )
                    print(" | ".join(rows[-1]), file=sys.stderr)
    print(table(HEADER, rows))


def _compare(server: Server, encoding: str, callers: int) -> list[str]:
    """The cells of one row: medians over rounds."""
    job = Job("", "", server.pid, SECONDS, WARMUP, callers=callers, encoding=encoding)
    addresses = dict(zip(DOORS, (server.address, server.http_address), strict=True))
    cells: dict[str, list[Cell]] = {door: [] for door in DOORS}
    for _ in range(ROUNDS):
        for door in DOORS:
            measured = replace(job, target=door, address=addresses[door])
            cells[door].append(Cell.of(loadgen.run(measured)))
    cpu = [median(cell.server_cpu for cell in cells[door]) for door in DOORS]
    rate = [median(cell.rate for cell in cells[door]) for door in DOORS]
    failed = errors(cell.errors for door in DOORS for cell in cells[door])
    return [
        *(f"{one:.2f}" for one in (*cpu, cpu[1] / cpu[0])),
        *(f"{one:.0f}" for one in rate),
        failed,
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
