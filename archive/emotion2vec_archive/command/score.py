"""`emotion2vec score`: what can be said. It imports little, as every command loads it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emotion2vec_client.command.arguments import add_model, add_raw, count
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
        required=True,
        help="the table: .parquet, .csv or .jsonl; with --engine ray a folder of Parquet parts, "
        "here or at a URI",
    )
    parser.add_argument(
        "--per",
        choices=("recording", "channel", "segment", "utterance"),
        default="recording",
        help="what has a row (%(default)s)",
    )
    add_model(parser)
    parser.add_argument(
        "--bundle",
        metavar="DIR",
        type=Path,
        help="start a server on this bundle for the run, or, with --engine ray, load it in each "
        "worker; without it and --server, the one at 127.0.0.1:50051 is taken, or one on the demo "
        "model started",
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
    _add_ray(parser)
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


def _add_ray(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("server", "ray"),
        default="server",
        help="what scores: a server, or workers on the nodes of a Ray cluster, which load the "
        "bundle themselves (%(default)s)",
    )
    group = parser.add_argument_group("workers (with --engine ray)")
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of the cluster; auto for the one that this node is of (RAY_ADDRESS, else this "
        "machine alone)",
    )
    group.add_argument(
        "--worker-cpus",
        metavar="N",
        type=count,
        default=1,
        help="cores of a worker, on each of which it scores a recording (%(default)s)",
    )
    group.add_argument(
        "--worker-gpus", metavar="N", type=float, default=0.0, help="GPUs of a worker (%(default)g)"
    )
    group.add_argument(
        "--workers",
        metavar="N",
        type=count,
        help="at most so many (as many as there is room for, also when nodes come later)",
    )


def run(arguments: argparse.Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code."""
    # Here, because Arrow takes a third of a second to load.
    if arguments.engine == "ray":
        from emotion2vec_archive.command.clustering import score_on_cluster

        return score_on_cluster(arguments, terminal)
    from emotion2vec_archive.command.scoring import score

    arguments.output = Path(arguments.output)
    return score(arguments, connection, terminal)
