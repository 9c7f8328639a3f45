"""A report on a table: read it, say what there is to say, write the page."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from emotion2vec_archive.report.compose import compose
from emotion2vec_archive.report.content import Content
from emotion2vec_archive.report.page import GENERATOR, render
from emotion2vec_archive.report.reading import read_table
from emotion2vec_archive.report.scores import ReportError, Scores
from emotion2vec_archive.table.output import replacing

__all__ = ["ReportError", "make_report"]

_MARK = f'<meta name="generator" content="{GENERATOR}">'
_HEAD = 4096
"""Bytes within which the mark stands."""


def make_report(table: Path, page: Path, *, by: str | None, count: int, today: date) -> Content:
    """Makes the page; returns what it says.

    Args:
        table: what `emotion2vec score` wrote.
        page: the file to write; an older report there gives way, anything else does not.
        by: the column whose values make the groups; None stands for the folders.
        count: how many rows lead the list of each label and measure.
        today: what the page says of when it was made.

    Raises:
        ReportError: the table is none of ours, lacks the column, or the page is something else.
        OSError: the page can't be written.
    """
    content = compose(Scores(table.name, read_table(table)), by=by, count=count, today=today)
    if page.exists() and _MARK not in _head(page):
        raise ReportError(f"{page} is there already, and is no report: name another by --output")
    with replacing(page) as part:
        part.write_text(render(content), encoding="utf-8")
    return content


def _head(page: Path) -> str:
    with page.open("rb") as file:
        return file.read(_HEAD).decode("utf-8", "replace")
