"""The report's Markdown: tables, and what their cells say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from benchmarks.speech import Mix

GIB, MIB = 2**30, 2**20


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def errors(counts: Iterable[Mapping[str, int]]) -> str:
    """All kinds of error with their number; "0" where there are none."""
    total: dict[str, int] = {}
    for count in counts:
        for kind, number in count.items():
            total[kind] = total.get(kind, 0) + number
    return ", ".join(f"{kind}: {number}" for kind, number in total.items()) or "0"


def spread(ratios: Sequence[float]) -> str:
    """The median of the rounds' ratios, and the least and the largest; "" without any."""
    if not ratios:
        return ""
    return f"{median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"


def rate(speech_seconds: float) -> str:
    """Three figures that count."""
    return f"{speech_seconds:,.0f}" if speech_seconds >= 100 else f"{speech_seconds:.3g}"


def mix(clips: Mix) -> str:
    """How long the clips are."""
    return f"{clips.shortest:g} to {clips.longest:g} s, median {clips.median:g} s"
