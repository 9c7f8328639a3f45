"""The report's section on the peers."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmarks.comparison import OURS, Comparison
from benchmarks.markdown import errors, mix, rate, spread, table


def peers_section(result: Comparison, picture: str) -> str:
    versions = ", ".join(f"{name} ({text})" for name, text in result.versions.items())
    parts = [
        "## Peers",
        f"The same graph, clips ({mix(result.mix)}), threads and closed loop for all, in "
        f"alternating rounds: {versions}. How each is configured, and why, stands at the top of "
        "its file in `benchmarks/peers/`. Triton's wheel has no ONNX Runtime backend, so it runs "
        "its Python backend. The peers take arrays, so that all are sent raw 16-bit samples; "
        f"{OURS} was then sent the same clips as MP3 and as FLAC, which a peer's user would have "
        "to decode. The ceiling is a loop in one process at its best batch size, without "
        "any serving. Throughput is in seconds of speech a second, the median of the rounds; "
        "*ours by its* is the median of the rounds' ratios, ours with raw samples, with the least "
        "and the largest.",
    ]
    if picture:
        parts.append(f"![peers]({picture})")
    for model in dict.fromkeys(turn.model for turn in result.turns):
        best = result.ceilings[model]
        parts.append(
            f"### {model}\n\nCeiling: {rate(best.rate)} speech seconds a second, in "
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
            audio_rate = median(cell.audio_rate for cell in cells)
            ratios = result.ratios(model, server, callers)
            yield [
                f"{_bold(server) if server.startswith(OURS) else server}, {callers}",
                rate(audio_rate),
                f"{median(cell.rate for cell in cells):,.1f}",
                f"{audio_rate / result.ceilings[model].rate:.0%}",
                "" if server == OURS else spread(ratios),
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
