"""`emotion2vec score`: what can be said. It imports little, as every command loads it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emotion2vec_client.command.arguments import add_model, add_raw
from emotion2vec_client.command.terminal import Terminal

_EPILOG = """\
It goes on where it was interrupted: the same command again scores what is new or has changed. The
journal TABLE.journal holds what is done; delete both to begin anew.

exit codes: 0 all is well; 1 some input failed or was left out, the others are done, or the run
can't go on; 2 wrong usage.
"""


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    connection: argparse.ArgumentParser,
) -> None:
    """Adds the parser of the subcommand."""
    parser = commands.add_parser(
        "score",
        parents=[connection],
        help="score many recordings into one table",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="audio file, directory, quoted pattern, URI such as s3://bucket/calls (what fsspec "
        "knows), or - for a list of them on standard input, one a line or ended by NUL",
    )
    parser.add_argument("--list", metavar="FILE", help="a list of paths, as for -")
    parser.add_argument(
        "--output",
        metavar="TABLE",
        type=Path,
        required=True,
        help="the table: .parquet, .csv or .jsonl",
    )
    parser.add_argument(
        "--per",
        choices=("recording", "channel", "segment"),
        default="recording",
        help="what has a row (%(default)s)",
    )
    add_model(parser)
    parser.add_argument(
        "--bundle",
        metavar="DIR",
        type=Path,
        help="start a server on this bundle for the run; without it and --server, the one at "
        "127.0.0.1:50051 is taken, or one on the demo model started",
    )
    parser.add_argument(
        "--speech-only", action="store_true", help="scores over speech, without the silence"
    )
    parser.add_argument(
        "--embeddings",
        choices=("column", "npy"),
        help="embeddings too: as a column of .parquet, or in TABLE.embeddings.npy, whose rows the "
        "table counts",
    )
    parser.add_argument(
        "--frames", action="store_true", help="scores of every 20 ms in TABLE.frames.parquet too"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="try those again that failed in earlier runs"
    )
    _add_telling(parser)
    add_raw(parser, "raw samples (of all inputs)")


def _add_telling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is told")
    group.add_argument(
        "--top", metavar="N", type=int, default=5, help="rows of the closing list (%(default)s)"
    )
    group.add_argument("--top-label", metavar="LABEL", default="angry", help="(%(default)s)")
    group.add_argument(
        "--top-by",
        choices=("peak", "share", "longest"),
        default="peak",
        help="its order (%(default)s)",
    )
    group.add_argument(
        "--progress",
        choices=("auto", "bar", "lines", "json", "none"),
        default="auto",
        help="on standard error; json also has the closing summary as JSON (%(default)s)",
    )
    group.add_argument("--quiet", action="store_true", help="tell nothing but errors")


def run(arguments: argparse.Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code."""
    # Here, because Arrow takes a third of a second to load.
    from emotion2vec_archive.command.scoring import score

    return score(arguments, connection, terminal)
