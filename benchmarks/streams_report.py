"""The report's section on live streams."""

from __future__ import annotations

from benchmarks.markdown import errors, table
from benchmarks.streams import LIMIT_SECONDS, Step, Streams

_SEARCH_HEADER = ("model, mode", "holds, streams", "fails at", "server CPU there, ms", "batch")
_STEP_HEADER = (
    "model, mode",
    "streams",
    "holds",
    "delay p50, s",
    "p95, s",
    "p99, s",
    "turnaround p50, s",
    "p99, s",
    "degraded",
    "batch",
    "server CPU, ms",
    "client CPU, ms",
    "late, ms",
    "errors",
)


def streams_section(result: Streams, picture: str) -> str:
    return "\n\n".join(
        (
            "## Live streams",
            "So many callers at once, each on a connection of its own, each sending 16-bit speech "
            "at its own speed in chunks of 100 ms; the server's defaults: "
            f"{result.window:g} s window, {result.hop:g} s hop, {result.lookahead:g} s lookahead. "
            "*Delay* of a frame: from when the chunk with the last sample that it needs (its own "
            "and the lookahead) was due to be sent, until it came; the wait for the hop's end is "
            f"part of it, up to {result.hop:g} s. *Turnaround*: the same without that wait. A "
            f"number holds where the delay's p99 is under {LIMIT_SECONDS:g} s and no stream was "
            "told DEGRADED, in two of three tries; a row is the try that settled it. *Steps*: the "
            "model runs new and provisional frames alone, which is the default; *windows*: a whole "
            "window each time. CPU is for a second of a stream's speech; *late* is by how much the "
            "generator itself sent late, p99.",
            table(_SEARCH_HEADER, [_search_row(result, *key) for key in result.searches()]),
            f"![streams]({picture})",
            table(
                _STEP_HEADER,
                [_step_row(step) for key in result.searches() for step in result.of(*key)],
            ),
        )
    )


def _search_row(result: Streams, model: str, incremental: bool) -> list[str]:
    best = result.largest(model, incremental)
    failed = [step.streams for step in result.of(model, incremental) if not step.holds]
    return [
        _search_name(model, incremental),
        str(best.streams) if best else "0",
        str(min(failed)) if failed else "not tried",
        f"{best.server_cpu:,.1f}" if best else "",
        f"{best.batch:.1f}" if best else "",
    ]


def _step_row(step: Step) -> list[str]:
    return [
        _search_name(step.model, step.incremental),
        str(step.streams),
        "yes" if step.holds else "no",
        *(f"{getattr(step.delay, level):.2f}" for level in ("p50", "p95", "p99")),
        *(f"{getattr(step.turnaround, level):.3f}" for level in ("p50", "p99")),
        str(step.degraded),
        f"{step.batch:.1f}",
        f"{step.server_cpu:,.1f}",
        f"{step.client_cpu:,.1f}",
        f"{1000 * step.lag:,.1f}",
        errors([step.errors]),
    ]


def _search_name(model: str, incremental: bool) -> str:
    return f"{model}, {'steps' if incremental else 'windows'}"
