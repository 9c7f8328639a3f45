"""The `emotion2vec-export` command."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from emotion2vec_runtime.bundle import ModelName
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from emotion2vec_export.errors import ExportError
from emotion2vec_export.hub import HUBS, Fetched, download, is_hub_id
from emotion2vec_export.precision import RECIPES


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 a bundle was written, perhaps with a precision refused, which the last line
    says; 1 it was not, and stderr says why; 2 usage."""
    options = _parser().parse_args(arguments)
    stderr = Console(stderr=True)
    try:
        with _ending_in_order(signal.SIGTERM, signal.SIGHUP):
            _export(options, stderr)
    except ExportError as error:
        message = " ".join(str(error).split())
        stderr.print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="emotion2vec-export",
        description="Turn an emotion2vec checkpoint into a bundle that emotion2vec-server serves.",
    )
    parser.add_argument("--version", action="version", version=version("emotion2vec-export"))
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a FunASR directory, or an id such as iic/emotion2vec_plus_large",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="bundle to write")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=RECIPES,
        default=["fp32"],
        help="artefacts to make (default: fp32)",
    )
    parser.add_argument(
        "--hub",
        choices=HUBS,
        help="where ids are from (default: modelscope); SOURCE is an id then",
    )
    parser.add_argument(
        "--engine",
        choices=["tensorrt"],
        help="also build a TensorRT engine, with the fp16 graph that it comes from",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="give up what a bundle at DIR holds; else what is not made anew is kept, and another "
        "checkpoint's is not written over",
    )
    parser.add_argument("--name", type=_name, help="the model's name (default: SOURCE's last part)")
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show how far each form is from FunASR on every clip (the manifest has it too)",
    )
    parser.add_argument("--demo", action="store_true", help="mark it as not for real use")
    parser.add_argument(
        "--allow-extra-weights",
        action="store_true",
        help="ignore weights that the configured model does not have",
    )
    return parser


def _export(options: argparse.Namespace, stderr: Console) -> None:
    with stderr.status("loading the tools"):
        # They take seconds to import, and --help and usage errors need none of them.
        from emotion2vec_export.checkpoint import read_checkpoint
        from emotion2vec_export.destination import Destination
        from emotion2vec_export.pipeline import describe_refusal, export_bundle
        from emotion2vec_export.step_bar import StepBar

        if options.engine:
            from emotion2vec_export.engine import find_builder

            find_builder()

    destination = Destination(options.output, replace=options.replace)
    found = _find(options.source, options.hub)
    with stderr.status(f"reading {found.directory}"):
        checkpoint = read_checkpoint(found.directory, allow_extra=options.allow_extra_weights)
    if checkpoint.classes is None:
        stderr.print("The checkpoint has no classifier: the bundle will give embeddings only.")
    with StepBar(stderr, verbose=options.verbose) as progress:
        manifest = export_bundle(
            checkpoint,
            destination,
            name=options.name or _default_name(found.source),
            source=found.source,
            commit=found.commit,
            precisions=tuple(dict.fromkeys(options.precision)),
            progress=progress,
            engine=options.engine is not None,
            demo=options.demo,
        )
    labels = ", ".join(label.name for label in manifest.labels) or "none, embeddings only"
    refused = ", ".join(describe_refusal(refusal) for refusal in manifest.refused)
    Console().print(
        f"{options.output}: {manifest.name} {manifest.version}, labels: {labels}"
        + (f"; refused: {refused}" if refused else ""),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _ending_in_order(*signals: signal.Signals) -> Iterator[None]:
    """Within it these end the command as Ctrl-C does: what is half done is removed."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    # What nohup has ignored stays ignored.
    before = {number: signal.getsignal(number) for number in signals}
    before = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _find(source: str, hub: str | None) -> Fetched:
    """The checkpoint's directory, and what the manifest calls its source.

    Raises:
        ExportError: `source` is neither a directory nor an id of the hub's, or looks like a
            directory whose name was mistyped.
    """
    directory = Path(source)
    if hub is None and (directory.is_dir() or not is_hub_id(source)):
        return Fetched(directory, directory.resolve().name, None)
    if hub is None and directory.parent != Path() and directory.parent.is_dir():
        raise ExportError(
            f"{source} is no directory, though {directory.parent} is one; correct the name, or say "
            "which --hub has a model of this name"
        )
    return download(source, hub or "modelscope")


def _name(value: str) -> str:
    try:
        return TypeAdapter(ModelName).validate_python(value)
    except ValidationError as error:
        raise argparse.ArgumentTypeError("use letters, digits, '.', '_' and '-' only") from error


def _default_name(source: str) -> str:
    last = source.rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:128] or "emotion2vec"


if __name__ == "__main__":
    sys.exit(main())
