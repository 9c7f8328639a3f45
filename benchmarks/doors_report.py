"""The report's section on the doors."""

from __future__ import annotations

from statistics import median

from benchmarks.doors import DOORS, Doors
from benchmarks.markdown import errors, mix, spread, table

_HEADER = (
    "model",
    "bodies",
    "callers",
    "gRPC, ms of CPU",
    "HTTP, ms of CPU",
    "HTTP by gRPC",
    "gRPC, answers a second",
    "HTTP, answers a second",
    "errors",
)


def doors_section(result: Doors) -> str:
    loads = dict.fromkeys((turn.model, turn.encoding, turn.callers) for turn in result.turns)
    return "\n\n".join(
        (
            "## HTTP beside gRPC",
            f"The same clips ({mix(result.mix)}) at both doors of one server, taking turns. CPU is "
            "the server's, for one request, and hardly depends on what else the machine does; "
            "the ratio is the median of the rounds', with the least and the largest.",
            table(_HEADER, [_row(result, *load) for load in loads]),
        )
    )


def _row(result: Doors, model: str, encoding: str, callers: int) -> list[str]:
    cells = {door: result.cells(model, encoding, callers, door) for door in DOORS}
    rounds = zip(cells["HTTP"], cells["gRPC"], strict=True)
    ratios = [http.server_cpu / grpc.server_cpu for http, grpc in rounds if grpc.server_cpu]
    return [
        model,
        encoding,
        str(callers),
        *(f"{median(cell.server_cpu for cell in cells[door]):.2f}" for door in DOORS),
        spread(ratios),
        *(f"{median(cell.rate for cell in cells[door]):.1f}" for door in DOORS),
        errors(cell.errors for door in DOORS for cell in cells[door]),
    ]
