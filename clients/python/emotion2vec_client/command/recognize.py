"""`emotion2vec recognize`: many files in flight, reported in the order they were named."""

from __future__ import annotations

import asyncio
import json
import os
from argparse import Namespace
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from emotion2vec_client.aio import AsyncClient
from emotion2vec_client.command.extras import require
from emotion2vec_client.command.inputs import Missing, expand
from emotion2vec_client.command.outputs import OutputDirectory, describe, write_results
from emotion2vec_client.command.report import Report
from emotion2vec_client.command.terminal import Terminal, shown
from emotion2vec_client.errors import RecognitionError, UnauthenticatedError, UnavailableError
from emotion2vec_client.results import Recognition

# Answers that wait for an earlier, slower one before they are shown.
_AHEAD = 4

Input = Path | Missing
Outcome = Recognition | RecognitionError | OSError | Missing


def recognize(arguments: Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code.

    Raises:
        MissingExtraError: --plot, without matplotlib.
        OSError: the output directory can't be made.
    """
    if arguments.plot:
        require("matplotlib", "plot", "--plot")
    inputs = tuple(expand(arguments.paths))
    output = _open_output(arguments, inputs)
    try:
        return asyncio.run(_Run(arguments, inputs, output, terminal).run(connection))
    finally:
        if output is not None:
            output.discard_if_empty()


def _open_output(arguments: Namespace, inputs: Sequence[Input]) -> OutputDirectory | None:
    if arguments.output_dir is None:
        return None
    sources = [found for found in inputs if isinstance(found, Path)]
    return OutputDirectory(Path(arguments.output_dir), datetime.now(), sources)


class _Run:
    """One run over its inputs."""

    def __init__(
        self,
        arguments: Namespace,
        inputs: Sequence[Input],
        output: OutputDirectory | None,
        terminal: Terminal,
    ) -> None:
        self._arguments = arguments
        self._inputs = inputs
        self._output = output
        self._terminal = terminal
        self._report = Report(terminal, [p for p in inputs if isinstance(p, Path)])
        self._nothing_to_plot: set[str] = set()

    async def run(self, connection: dict[str, Any]) -> int:
        done = failed = 0
        async with AsyncClient(**connection) as client:
            outcomes = in_order(
                self._inputs, lambda found: self._recognize(client, found), self._arguments.jobs
            )
            async with aclosing(outcomes):
                async for found, outcome in outcomes:
                    done += 1
                    failed += not self._show(found, outcome)
                    if isinstance(outcome, UnavailableError | UnauthenticatedError):
                        break  # the others would fail alike, each after its own retries
        self._report.close()
        if done < len(self._inputs):
            self._terminal.error(f"{len(self._inputs) - done} more inputs were not tried")
        return 1 if failed else 0

    async def _recognize(self, client: AsyncClient, found: Input) -> Outcome:
        if isinstance(found, Missing):
            return found
        asked = self._arguments
        try:
            return await client.recognize(
                found,
                frames=asked.frames,
                embedding=asked.embedding or self._output is not None,
                frame_embeddings=asked.frame_embeddings
                or (asked.frames and self._output is not None),
                processed_audio=asked.plot or self._output is not None,
                model=asked.model,
                allowed_labels=asked.labels,
            )
        except (RecognitionError, OSError) as error:
            return error

    def _show(self, found: Input, outcome: Outcome) -> bool:
        """Reports one outcome; returns whether all went well."""
        match outcome:
            case Missing():
                return self._fail(outcome.argument, "NOT_FOUND", outcome.reason)
            case RecognitionError():
                return self._fail(str(found), outcome.code.name, outcome.message)
            case OSError():
                return self._fail(str(found), "UNREADABLE", outcome.strerror or str(outcome))
            case Recognition() if isinstance(found, Path):
                return self._show_recognition(found, outcome)
        raise TypeError(f"{outcome!r} is no outcome of {found!r}")

    def _show_recognition(self, path: Path, recognition: Recognition) -> bool:
        try:
            written = self._write(path, recognition)
        except OSError as error:
            return self._fail(str(path), "UNWRITABLE", f"can't write its results: {error}")
        if self._arguments.json:
            result = describe(shown(path), recognition, datetime.now())
            for key in ("embedding", "frame_embeddings"):
                if not getattr(self._arguments, key):
                    result.pop(key, None)
            self._print_json({**result, "written": [shown(place) for place in written]})
        else:
            self._report.show(
                path,
                recognition,
                written,
                embedding=self._arguments.embedding,
                frame_embeddings=self._arguments.frame_embeddings,
            )
        return True

    def _write(self, path: Path, recognition: Recognition) -> list[Path]:
        """Writes what was asked for; returns where."""
        written = []
        folder = None
        if self._output is not None:
            folder = self._output.folder(path)
            result = describe(shown(path), recognition, datetime.now())
            result.pop("embedding", None)
            result.pop("frame_embeddings", None)
            write_results(folder, result, recognition)
            written.append(folder)
        if self._arguments.plot and self._has_scores(recognition):
            from emotion2vec_client.command.plot import draw

            picture = _new_picture(path) if folder is None else folder / "plot.png"
            draw(recognition, shown(path.name), picture)
            if folder is None:
                written.append(picture)
        return written

    def _has_scores(self, recognition: Recognition) -> bool:
        """Whether there is something to plot; tells once if a model gives nothing."""
        model = recognition.metadata.model
        if recognition.emotion is None and model not in self._nothing_to_plot:
            self._nothing_to_plot.add(model)
            self._terminal.error(f"--plot: {model} has no classifier and so no scores to draw")
        return recognition.emotion is not None

    def _fail(self, name: str, code: str, message: str) -> bool:
        self._terminal.error(f"{shown(name)}: {message}")
        if self._arguments.json:
            self._print_json({"filename": shown(name), "error": {"code": code, "message": message}})
        return False

    def _print_json(self, value: dict[str, Any]) -> None:
        self._terminal.print(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _new_picture(path: Path) -> Path:
    """A name in the current directory that nothing has yet: a rerun draws beside, not over."""
    picture = Path(f"{path.stem}.emotions.png")
    number = 2
    while os.path.lexists(picture):
        picture = Path(f"{path.stem}_{number}.emotions.png")
        number += 1
    return picture


async def in_order(
    inputs: Sequence[Input], work: Callable[[Input], Awaitable[Outcome]], limit: int
) -> AsyncGenerator[tuple[Input, Outcome], None]:
    """Runs `work` for `limit` inputs at once; yields the outcomes in the order of the inputs.

    A slow one holds the later ones back, but no more of them than a small multiple of `limit`, so
    that memory stays bounded however many files there are.
    """
    slots = asyncio.Semaphore(limit)
    tasks: deque[tuple[Input, asyncio.Task[Outcome]]] = deque()

    async def run(found: Input) -> Outcome:
        async with slots:
            return await work(found)

    waiting = iter(inputs)
    try:
        while True:
            for found in islice(waiting, limit * _AHEAD - len(tasks)):
                tasks.append((found, asyncio.create_task(run(found))))
            if not tasks:
                return
            found, task = tasks[0]
            outcome = await task
            tasks.popleft()
            yield found, outcome
    finally:
        for _, task in tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
