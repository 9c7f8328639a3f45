"""`emotion2vec recognize`: many files in flight, reported in the order they were named."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from emotion2vec_client.aio import AsyncClient
from emotion2vec_client.audio import RawFormat
from emotion2vec_client.command.arguments import raw_format
from emotion2vec_client.command.clock import clock
from emotion2vec_client.command.extras import require
from emotion2vec_client.command.inputs import (
    AUDIO_SUFFIXES,
    RAW_SUFFIXES,
    Input,
    LeftOut,
    Missing,
    expand,
)
from emotion2vec_client.command.outputs import OutputDirectory, describe, write_results
from emotion2vec_client.command.report import Report
from emotion2vec_client.command.terminal import Terminal, shown
from emotion2vec_client.errors import RecognitionError, UnauthenticatedError, UnavailableError
from emotion2vec_client.results import Recognition

# Answers that wait for an earlier, slower one before they are shown.
_AHEAD = 4

Outcome = Recognition | RecognitionError | OSError | Missing


def recognize(arguments: Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code.

    Raises:
        MissingExtraError: --plot, without matplotlib.
        OSError: the output directory can't be made.
    """
    if arguments.plot:
        require("matplotlib", "plot", "--plot")
    if arguments.processed_audio and arguments.output_dir is None:
        raise ValueError("--processed-audio is written below --output-dir: name one")
    raw = raw_format(arguments)
    left_out = LeftOut()
    suffixes = AUDIO_SUFFIXES if raw is None else RAW_SUFFIXES
    inputs = tuple(expand(arguments.paths, left_out, suffixes))
    output = _open_output(arguments, inputs)
    run = _Run(arguments, inputs, raw, output, terminal)
    try:
        code = asyncio.run(run.run(connection))
        if left_out:
            terminal.error(str(left_out))
        return 1 if left_out else code
    finally:
        if output is not None:
            output.discard_if_empty()


def _open_output(arguments: Namespace, inputs: Sequence[Input]) -> OutputDirectory | None:
    if arguments.output_dir is None:
        return None
    sources = [_place_of(found) for found in inputs if not isinstance(found, Missing)]
    return OutputDirectory(Path(arguments.output_dir), datetime.now(), sources)


class _Run:
    """One run over its inputs."""

    def __init__(
        self,
        arguments: Namespace,
        inputs: Sequence[Input],
        raw: RawFormat | None,
        output: OutputDirectory | None,
        terminal: Terminal,
    ) -> None:
        self._arguments = arguments
        self._inputs = inputs
        self._raw = raw
        self._output = output
        self._terminal = terminal
        names = [shown(str(found)) for found in inputs if not isinstance(found, Missing)]
        self._report = Report(terminal, names)
        self._nothing_to_plot: set[str] = set()
        self._heard: dict[str, float] = {}
        """Seconds, of the inputs that come in pieces and are not done."""

    async def run(self, connection: dict[str, Any]) -> int:
        done = failed = 0
        async with AsyncClient(**connection) as client:
            outcomes = in_order(
                self._inputs, lambda found: self._recognize(client, found), self._arguments.jobs
            )
            try:
                async with aclosing(outcomes):
                    async for found, outcome in outcomes:
                        done += 1
                        failed += not self._show(found, outcome)
                        if isinstance(outcome, UnavailableError | UnauthenticatedError):
                            break  # the others would fail alike, each after its own retries
            finally:
                self._terminal.end_status()
        self._report.close()
        if done < len(self._inputs):
            self._terminal.error(f"{len(self._inputs) - done} more inputs were not tried")
        return 1 if failed else 0

    async def _recognize(self, client: AsyncClient, found: Input) -> Outcome:
        if isinstance(found, Missing):
            return found
        asked, raw, name = self._arguments, self._raw, shown(str(found))
        try:
            return await client.recognize(
                found if isinstance(found, Path) else sys.stdin.buffer,
                encoding=raw.encoding if raw else None,
                sample_rate=raw.sample_rate if raw else None,
                channels=raw.channels if raw else None,
                per_channel=asked.per_channel,
                speech_only=asked.speech_only,
                frames=asked.frames,
                embedding=asked.embedding or self._output is not None,
                frame_embeddings=asked.frame_embeddings,
                processed_audio=asked.plot or asked.processed_audio,
                model=asked.model,
                allowed_labels=asked.labels,
                progress=lambda part: self._progress(name, part.segment.end),
            )
        except (RecognitionError, OSError) as error:
            return error
        finally:
            self._heard.pop(name, None)

    def _progress(self, name: str, heard: float) -> None:
        """Says how far the long ones are, the first of them by name."""
        self._heard[name] = heard
        first, *others = self._heard
        more = f", and {len(others)} more" if others else ""
        self._terminal.status(f"{first}  {clock(self._heard[first])} heard{more}")

    def _show(self, found: Input, outcome: Outcome) -> bool:
        """Reports one outcome; returns whether all went well."""
        match outcome:
            case Missing():
                return self._fail(outcome.argument, "NOT_FOUND", outcome.reason)
            case RecognitionError():
                return self._fail(str(found), outcome.code.name, outcome.message)
            case OSError():
                return self._fail(str(found), "UNREADABLE", outcome.strerror or str(outcome))
            case Recognition():
                return self._show_recognition(str(found), _place_of(found), outcome)

    def _show_recognition(self, name: str, path: Path, recognition: Recognition) -> bool:
        try:
            written = self._write(name, path, recognition)
        except OSError as error:
            return self._fail(name, "UNWRITABLE", f"can't write its results: {error}")
        if self._arguments.json:
            result = describe(name, recognition, datetime.now())
            for key in ("embedding", "frame_embeddings"):
                if not getattr(self._arguments, key):
                    _drop(result, key)
            self._terminal.print_json({**result, "written": [str(place) for place in written]})
        else:
            self._report.show(
                shown(name),
                recognition,
                written,
                embedding=self._arguments.embedding,
                frame_embeddings=self._arguments.frame_embeddings,
            )
        return True

    def _write(self, name: str, path: Path, recognition: Recognition) -> list[Path]:
        """Writes what was asked for; returns where."""
        written = []
        folder = None
        if self._output is not None:
            folder = self._output.folder(path)
            result = describe(name, recognition, datetime.now())
            _drop(result, "embedding")
            _drop(result, "frame_embeddings")
            write_results(
                folder, result, recognition, processed_audio=self._arguments.processed_audio
            )
            self._output.note(name, _in_brief(result), folder)
            written.append(folder)
        if self._arguments.plot:
            tracks = {f"_channel_{n}": track for n, track in enumerate(recognition.channels)}
            for suffix, track in (tracks or {"": recognition}).items():
                written += self._plot(path, suffix, track, folder)
        return written

    def _plot(
        self, path: Path, suffix: str, recognition: Recognition, folder: Path | None
    ) -> list[Path]:
        if not self._has_scores(recognition):
            return []
        from emotion2vec_client.command.plot import draw

        if folder is not None:
            draw(recognition, shown(path.name), folder / f"plot{suffix}.png")
            return []
        picture = _new_picture(path.with_stem(path.stem + suffix))
        draw(recognition, shown(path.name), picture)
        return [picture]

    def _has_scores(self, recognition: Recognition) -> bool:
        """Whether there is something to plot; tells once if a model gives nothing."""
        model = recognition.metadata.model
        if recognition.emotion is None and model not in self._nothing_to_plot:
            self._nothing_to_plot.add(model)
            self._terminal.error(f"--plot: {model} has no classifier and so no scores to draw")
        return recognition.emotion is not None

    def _fail(self, name: str, code: str, message: str) -> bool:
        self._terminal.error(f"{shown(name)}: {message}")
        error = {"code": code, "message": message}
        if self._output is not None:
            self._output.note(name, {"error": error})
        if self._arguments.json:
            self._terminal.print_json({"filename": name, "error": error})
        return False


def _place_of(found: Input) -> Path:
    """A path after which results are named."""
    return found if isinstance(found, Path) else Path("standard input")


def _drop(result: dict[str, Any], key: str) -> None:
    """Leaves a value out, and out of the channels."""
    for fields in (result, *result.get("channels", ())):
        fields.pop(key, None)


def _in_brief(result: dict[str, Any]) -> dict[str, Any]:
    """What the index says about a result."""
    return {key: result[key] for key in ("emotion", "confidence", "channels") if key in result}


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
