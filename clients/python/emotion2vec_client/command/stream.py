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
from emotion2vec_client.command.arguments import raw_format
from emotion2vec_client.command.extras import MissingExtraError, require
from emotion2vec_client.command.sources import (
    LiveChunks,
    PacedChunks,
    Source,
    bytes_per_second,
    chunk_size,
    file_source,
    standard_input,
)
from emotion2vec_client.command.terminal import Terminal, shown
from emotion2vec_client.command.views import JsonView, LineView, View
from emotion2vec_client.errors import RecognitionError
from emotion2vec_client.events import AlertRule, EndOfUtterance, StreamEvent, StreamFinal

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
    raw = None if arguments.microphone else raw_format(arguments)
    name = "microphone" if arguments.microphone else shown(arguments.path)
    try:
        with ExitStack() as stack:
            client = stack.enter_context(Client(**connection))
            source = _open(arguments, raw, client, stack)
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


def _open(arguments: Namespace, raw: RawFormat | None, client: Client, stack: ExitStack) -> Source:
    if arguments.microphone:
        # Imported here: only this option needs the package below it.
        from emotion2vec_client.command.microphone import microphone

        source, chunks = stack.enter_context(microphone())
        stack.enter_context(_stopped_by_interrupt(chunks))
        return source
    if arguments.path == STANDARD_INPUT:
        chunks = standard_input()
        stack.enter_context(_stopped_by_interrupt(chunks))
        return Source(chunks, raw)
    path = Path(arguments.path)
    if not arguments.realtime:
        return file_source(path, raw)
    pace = raw.bytes_per_second if raw else bytes_per_second(path, client, arguments.model)
    paced = PacedChunks(file_source(path, raw, chunk_size(pace)).chunks, pace)
    stack.enter_context(_stopped_by_interrupt(paced))
    return Source(paced, raw)


def _events(arguments: Namespace, client: Client, source: Source) -> Iterator[StreamEvent]:
    raw = source.raw
    return client.stream(
        source.chunks,
        sample_rate=raw.sample_rate if raw else None,
        encoding=raw.encoding if raw else None,
        channels=raw.channels if raw else None,
        window=arguments.window,
        hop=arguments.hop,
        lookahead=arguments.lookahead,
        interim=arguments.interim,
        voice_activity_detection=False if arguments.no_vad else None,
        mode=arguments.mode,
        final=arguments.final,
        end_of_utterance=_end_of_utterance(arguments),
        alerts=_alerts(arguments),
        model=arguments.model,
        allowed_labels=arguments.labels,
        timeout=arguments.timeout,
        reconnect=arguments.reconnect,
    )


def _end_of_utterance(arguments: Namespace) -> EndOfUtterance | None:
    if arguments.end_of_utterance is None and arguments.longest is None:
        return None
    return EndOfUtterance(arguments.end_of_utterance, arguments.longest)


def _alerts(arguments: Namespace) -> AlertRule | None:
    rule = (arguments.alert_labels, arguments.alert_probability, arguments.alert_seconds)
    if not arguments.alerts and rule == (None, None, None):
        return None
    labels, probability, seconds = rule
    return AlertRule(labels or (), probability, seconds)


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
