"""The report's section on load."""

from __future__ import annotations

from benchmarks.load import Load, Overload
from benchmarks.markdown import MIB, errors, mix, table


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
            f"{mix(result.mix)}, 16 kHz; raw is 16-bit samples. Open loops are Poisson arrivals "
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
