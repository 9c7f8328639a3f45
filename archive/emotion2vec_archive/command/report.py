"""`emotion2vec report`: a table of scores as one page for people."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from emotion2vec_client.command.arguments import count
from emotion2vec_client.command.terminal import Terminal, shown

_TOP = 12
_FOLDER = "folder"


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    connection: argparse.ArgumentParser,  # noqa: ARG001 - it needs no server
) -> None:
    """Adds the parser of the subcommand."""
    parser = commands.add_parser("report", help="make one HTML page of a table of scores")
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
        default=_FOLDER,
        help="what the rows are grouped by: %(default)s, or a column of the table",
    )
    parser.add_argument(
        "--top",
        metavar="N",
        type=count,
        default=_TOP,
        help="how many lead the list of each emotion (%(default)s)",
    )


def run(
    arguments: argparse.Namespace,
    connection: dict[str, Any],  # noqa: ARG001 - it needs no server
    terminal: Terminal,
) -> int:
    """Runs the subcommand; returns the exit code."""
    # Arrow and Jinja take their time to load, which other subcommands need not wait for.
    from emotion2vec_archive.report.report import ReportError, make_report

    table: Path = arguments.table
    page: Path = arguments.output or table.with_suffix(".html")
    by = None if arguments.by == _FOLDER else arguments.by
    try:
        content = make_report(table, page, by=by, count=arguments.top, today=date.today())
    except (ReportError, OSError) as error:
        terminal.error(str(error))
        return 1
    terminal.print(f"{shown(page)}: {content.summary}")
    return 0
