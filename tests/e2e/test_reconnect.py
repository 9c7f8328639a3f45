"""Streams that go on after their server has died, drained, or ended them by its limits."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from emotion2vec_client import (
    AsyncClient,
    Client,
    RetryPolicy,
    StreamEvent,
    StreamFinal,
    StreamFrames,
    UnavailableError,
    UtteranceEnd,
    connection,
)

from tests.e2e.conftest import RunningServer, start_server

RATE = 16_000
CHUNK = RATE // 10
PATIENT = RetryPolicy(attempts=100, first_pause=0.1, longest_pause=0.5)
QUIET = ("--no-metrics", "--no-http", "--drain-seconds", "1")


@pytest.fixture(scope="module")
def speech(examples: list[Path]) -> Any:
    """8 s of speech."""
    whole = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in examples])
    return np.resize(whole, 8 * RATE)


class Replaced:
    """A server at one address that is ended, and whose place another takes."""

    def __init__(self) -> None:
        self.server = start_server(*QUIET)
        self.address = self.server.address

    def replace(self, how: int) -> None:
        self.server.process.send_signal(how)
        self.server.process.wait(60)
        port = self.address.rpartition(":")[2]
        # The last --port counts.
        self.server = start_server(*QUIET, "--port", port)


def chunks(speech: Any, meanwhile: Callable[[int], None]) -> Iterator[Any]:
    """0.1 s each, at four times their speed; `meanwhile` is called before each with its number."""
    for number in range(len(speech) // CHUNK):
        meanwhile(number)
        time.sleep(0.025)
        yield speech[number * CHUNK : (number + 1) * CHUNK]


def listen(client: Client, source: Iterator[Any], **options: Any) -> list[StreamEvent]:
    return list(client.stream(source, sample_rate=RATE, reconnect=True, **options))


async def listen_async(address: str, source: Iterator[Any]) -> list[StreamEvent]:
    async def slowly() -> AsyncIterator[Any]:
        for chunk in source:
            await asyncio.sleep(0)
            yield chunk

    async with AsyncClient(address, retry=PATIENT) as client:
        stream = client.stream(slowly(), sample_rate=RATE, reconnect=True)
        return [event async for event in stream]


def assert_whole(events: list[StreamEvent], speech: Any) -> list[StreamFinal]:
    """Utterances cover the audio, and frames each of them, without a hole and without a double."""
    assert [event.sequence for event in events] == list(range(len(events)))
    finals = [event for event in events if isinstance(event, StreamFinal)]
    assert [final.utterance for final in finals] == list(range(len(finals)))
    edges = [0.0, *(final.end for final in finals)]
    assert [final.start for final in finals] == pytest.approx(edges[:-1])
    assert edges[-1] == pytest.approx(len(speech) / RATE)
    for final in finals:
        frames = [
            event.frames
            for event in events
            if isinstance(event, StreamFrames) and event.utterance == final.utterance
        ]
        indices = [part.first_index + np.arange(len(part.probabilities)) for part in frames]
        samples = round((final.end - final.start) * RATE)
        assert np.concatenate(indices).tolist() == list(range((samples - 400) // 320 + 1))
        for part in frames:
            assert part.start == pytest.approx(final.start + part.first_index * 0.02)
    return finals


@pytest.mark.parametrize(("how", "is_async"), [(signal.SIGKILL, False), (signal.SIGTERM, True)])
def test_a_server_is_replaced_in_the_middle(speech: Any, how: int, *, is_async: bool) -> None:
    replaced = Replaced()
    try:
        source = chunks(speech, lambda number: replaced.replace(how) if number == 40 else None)
        if is_async:
            events = asyncio.run(listen_async(replaced.address, source))
        else:
            with Client(replaced.address, retry=PATIENT) as client:
                events = listen(client, source)
        finals = assert_whole(events, speech)
        with Client(replaced.address) as client:
            for final in finals:
                span = slice(round(final.start * RATE), round(final.end * RATE))
                whole = client.recognize(speech[span], sample_rate=RATE)
                assert whole.emotion is not None
                assert final.recognition.emotion is not None
                for ours, theirs in zip(
                    final.recognition.emotion.scores, whole.emotion.scores, strict=True
                ):
                    assert ours.probability == pytest.approx(theirs.probability, abs=1e-4)
        if how == signal.SIGKILL:
            assert len(finals) == 1
        else:
            # A server that drains closes the utterance; the next one begins with the next sample.
            assert finals[-1].ended_by is UtteranceEnd.AUDIO
    finally:
        assert replaced.server.stop() == 0


def test_a_stream_outlives_the_limit_on_its_length(
    speech: Any, start: Callable[..., RunningServer]
) -> None:
    server = start(*QUIET, "--max-stream-seconds", "1")
    with Client(server.address, retry=PATIENT) as client:
        finals = assert_whole(listen(client, chunks(speech, lambda _: None)), speech)
    assert len(finals) > 1
    assert {final.ended_by for final in finals} == {UtteranceEnd.STREAM, UtteranceEnd.AUDIO}


class Network:
    """Between a client and a server. When it goes dark, what is under way arrives nowhere, and
    nobody is told; new connections find another way."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._dark: list[threading.Event] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def go_dark(self) -> None:
        for is_dark in self._dark:
            is_dark.set()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(self._server)
            is_dark = threading.Event()
            self._dark.append(is_dark)
            for source, target in ((near, far), (far, near)):
                threading.Thread(
                    target=self._carry, args=(source, target, is_dark), daemon=True
                ).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket, is_dark: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not is_dark.is_set():
                    target.sendall(data)


def test_a_network_that_goes_dark_is_noticed(
    start: Callable[..., RunningServer], speech: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_PING_AFTER_MS", 2000)
    monkeypatch.setattr(connection, "_PING_ANSWER_MS", 1000)
    network = Network(start(*QUIET).address)
    source = chunks(speech, lambda number: network.go_dark() if number == 20 else None)
    began = time.monotonic()
    with Client(network.address, retry=PATIENT) as client:
        assert_whole(listen(client, source), speech)
    # Without pings the system gives up after minutes.
    assert time.monotonic() - began < 45


def test_without_it_a_lost_server_ends_the_stream(speech: Any) -> None:
    server = start_server(*QUIET)
    try:
        source = chunks(speech, lambda number: server.process.kill() if number == 20 else None)
        with Client(server.address, retry=PATIENT) as client, pytest.raises(UnavailableError):
            list(client.stream(source, sample_rate=RATE))
    finally:
        server.stop()


@pytest.mark.parametrize("error", [OSError("the microphone is gone"), SystemExit(3)])
def test_what_the_source_raises_is_raised(
    demo_server: RunningServer, speech: Any, error: BaseException
) -> None:
    def broken(number: int) -> None:
        if number == 10:
            raise error

    with Client(demo_server.address) as client, pytest.raises(type(error)) as raised:
        listen(client, chunks(speech, broken))
    assert raised.value is error


def test_a_source_whose_task_is_cancelled_cancels_the_stream(demo_server: RunningServer) -> None:
    async def source() -> AsyncIterator[Any]:
        yield np.zeros(CHUNK, np.int16)
        microphone = asyncio.get_running_loop().create_future()
        microphone.cancel()
        await microphone

    async def run() -> None:
        async with AsyncClient(demo_server.address) as client, asyncio.timeout(60):
            async for _ in client.stream(source(), sample_rate=RATE, reconnect=True):
                pass

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_a_file_can_not_be_gone_on_with() -> None:
    with Client() as client, pytest.raises(ValueError, match="needs raw samples"):
        client.stream([b"RIFF"], reconnect=True)
