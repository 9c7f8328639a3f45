"""`emotion2vec report`: a table of scores as one page for people."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import date
from pathlib import Path

from emotion2vec_client.command.terminal import Terminal, shown

from emotion2vec_archive.report.compose import FOLDER, compose
from emotion2vec_archive.report.page import GENERATOR, render
from emotion2vec_archive.report.reading import read_table
from emotion2vec_archive.report.scores import ReportError, Scores
from emotion2vec_archive.report.words import long_span

SUMMARY = "make one HTML page of a table of scores"
_TOP = 12
_MARK = f'<meta name="generator" content="{GENERATOR}">'
_HEAD = 2048


def add_arguments(parser: ArgumentParser) -> None:
    """What can be said after `emotion2vec report`."""
    parser.add_argument(
        "table",
        metavar="TABLE",
        type=Path,
        help="what emotion2vec score wrote: Parquet, a folder of Parquet parts, CSV or JSON lines",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PAGE.html",
        type=Path,
        help="(the table's name with .html)",
    )
    parser.add_argument(
        "--by",
        metavar="COLUMN",
        default=FOLDER,
        help="what the rows are grouped by: %(default)s, or a column of the table",
    )
    parser.add_argument(
        "--top",
        metavar="N",
        type=_count,
        default=_TOP,
        help="how many lead the list of each emotion (%(default)s)",
    )


def run(arguments: Namespace, terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code."""
    table: Path = arguments.table
    page = arguments.output or table.with_suffix(".html")
    try:
        scores = Scores(table.name, read_table(table))
        content = compose(scores, by=arguments.by, count=arguments.top, today=date.today())
        _write(page, render(content))
    except (ReportError, OSError) as error:
        terminal.error(str(error))
        return 1
    nouns = content.nouns(content.scored)
    terminal.print(
        f"{shown(page)}: {content.scored:,} {nouns}, {long_span(content.seconds)} of audio, "
        f"{content.failed:,} failed"
    )
    return 0


def _write(page: Path, text: str) -> None:
    """Writes the page in one go, over an older report but over nothing else."""
    if page.exists() and _MARK not in _head(page):
        raise ReportError(f"{shown(page)} is there already, and is no report: name another by -o")
    unfinished = page.with_name(f".{page.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(page)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _head(page: Path) -> str:
    with page.open("rb") as file:
        return file.read(_HEAD).decode("utf-8", "replace")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"must be 1 or more, not {text}")
    return number
