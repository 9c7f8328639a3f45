"""The report's Markdown: tables, and what their cells say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


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
