"""`emotion2vec stream`: a file, standard input or the microphone, event by event."""

from __future__ import annotations

import signal
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from emotion2vec_client.audio import RawFormat
from emotion2vec_client.client import Client
from emotion2vec_client.command.arguments import RAW_CHANNELS, RAW_ENCODING, RAW_RATE
from emotion2vec_client.command.extras import MissingExtraError, require
from emotion2vec_client.command.sources import (
    LiveChunks,
    PacedChunks,
    Source,
    audio_file,
    chunk_size,
    raw_file,
    standard_input,
)
from emotion2vec_client.command.terminal import Terminal, shown
from emotion2vec_client.command.views import JsonView, LineView, View
from emotion2vec_client.errors import RecognitionError
from emotion2vec_client.events import StreamEvent, StreamFinal

STANDARD_INPUT = "-"
FAILED = 1


def stream(arguments: Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code.

    Raises:
        MissingExtraError: --microphone, without sounddevice.
        ValueError: the options don't fit each other.
    """
    if arguments.microphone:
        require("sounddevice", "microphone", "--microphone")
    live = arguments.microphone or arguments.path == STANDARD_INPUT
    if live and arguments.realtime:
        raise ValueError("--realtime is for a PATH: what is live has its own speed")
    is_raw = arguments.path == STANDARD_INPUT or arguments.encoding is not None
    if not is_raw and (arguments.rate or arguments.channels):
        raise ValueError("--rate and --channels are of raw samples: give their --encoding too")
    name = "microphone" if arguments.microphone else shown(arguments.path)
    try:
        with ExitStack() as stack:
            client = stack.enter_context(Client(**connection))
            source = _open(arguments, client, stack)
            view = stack.enter_context(_view(arguments, terminal, name))
            has_final = False
            for event in _events(arguments, client, source):
                has_final |= isinstance(event, StreamFinal)
                view.show(event)
    except RecognitionError as error:
        terminal.error(f"{name}: {error.message}")
        return FAILED
    except BrokenPipeError:
        raise  # about our output, not about the source
    except OSError as error:
        terminal.error(f"{name}: {error.strerror or error}")
        return FAILED
    if not has_final:
        terminal.error(f"{name}: no samples came")
        return FAILED
    return 0


def _open(arguments: Namespace, client: Client, stack: ExitStack) -> Source:
    if arguments.microphone:
        # Imported here: only this option needs the package below it.
        from emotion2vec_client.command.microphone import microphone

        source, chunks = stack.enter_context(microphone())
        stack.enter_context(_stopped_by_interrupt(chunks))
        return source
    raw = RawFormat(
        arguments.encoding or RAW_ENCODING,
        arguments.rate or RAW_RATE,
        arguments.channels or RAW_CHANNELS,
    )
    if arguments.path == STANDARD_INPUT:
        chunks = standard_input(chunk_size(raw))
        stack.enter_context(_stopped_by_interrupt(chunks))
        return Source(chunks, raw)
    path = Path(arguments.path)
    if arguments.encoding is not None:
        source = raw_file(path, raw)
    else:
        source = audio_file(path, client, arguments.model)
    if not arguments.realtime:
        return source
    paced = PacedChunks(source)
    stack.enter_context(_stopped_by_interrupt(paced))
    return Source(paced, raw=source.raw)


def _events(arguments: Namespace, client: Client, source: Source) -> Iterator[StreamEvent]:
    return client.stream(
        source.chunks,
        sample_rate=source.raw.sample_rate,
        encoding=source.raw.encoding,
        channels=source.raw.channels,
        window=arguments.window,
        hop=arguments.hop,
        lookahead=arguments.lookahead,
        interim=arguments.interim,
        voice_activity_detection=False if arguments.no_vad else None,
        model=arguments.model,
        allowed_labels=arguments.labels,
        timeout=arguments.timeout,
    )


def _view(arguments: Namespace, terminal: Terminal, name: str) -> View:
    if arguments.json:
        return JsonView(terminal)
    if not terminal.is_live:
        return LineView(terminal)
    try:
        require("rich", "live", "the live view")
    except MissingExtraError as error:
        terminal.error(f"{error}; showing lines instead")
        return LineView(terminal)
    from emotion2vec_client.command.live import LiveView

    return LiveView(name)


@contextmanager
def _stopped_by_interrupt(chunks: LiveChunks | PacedChunks) -> Iterator[None]:
    """The first Ctrl-C ends the audio, so that its final result still comes; the second, all."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        chunks.stop()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
