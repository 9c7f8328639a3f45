"""A real server's page in a real browser: Debian's Chromium, or what else of its kind is there."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import grpc
import numpy as np
import pytest
from emotion2vec.v1 import recognition_pb2, service_pb2, service_pb2_grpc
from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 60_000  # milliseconds: the machine may be busy
expect.set_options(timeout=PATIENCE)


@dataclass
class Server:
    """A server process, and where its doors are."""

    process: subprocess.Popen[str]
    grpc_address: str
    url: str

    def recognize(self, audio: bytes, **config: Any) -> service_pb2.RecognizeResponse:
        """What gRPC says."""
        with grpc.insecure_channel(self.grpc_address) as channel:
            stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
            request = service_pb2.RecognizeRequest(
                config=recognition_pb2.RecognitionConfig(**config), audio=audio
            )
            return stub.Recognize(request)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def start_server(*arguments: str) -> Server:
    command = [sys.executable, "-m", "emotion2vec_server", "--no-metrics", *arguments]
    command += ["--port", "0", "--http-port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found: dict[str, str] = {}
    for line in process.stderr:
        for name, pattern in (("grpc", r"serving on (\S+:\d+)"), ("page", r"page is at (http\S+)")):
            if match := re.search(pattern, line):
                found[name] = match[1]
        if len(found) == 2:
            return Server(process, found["grpc"], found["page"])
    raise RuntimeError("the server did not start")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One on the demo model, for the tests that do it no harm."""
    server = start_server()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears, again and again."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    write_wav(path, samples_of(EXAMPLES / "angry.flac"))
    return path


# Not for the session: as long as it runs, tests with an event loop of their own can't.
@pytest.fixture(scope="module")
def browser(voice: Path) -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=[
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={voice}",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        yield browser
        browser.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Opens the page as a new visitor; what fails within it unseen fails the test."""
    faults: list[str] = []
    contexts = []

    def visit(url: str = server.url, **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-US", **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        # Refusals by the Content-Security-Policy are said there, and failed requests, which the
        # tests of errors want.
        page.on(
            "console",
            lambda message: (
                faults.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == []


def samples_of(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """[n], 16 kHz: the examples are in that form."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])


def write_wav(path: Path, samples: np.ndarray[Any, np.dtype[np.int16]], channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())


def encode(path: Path, codec: str, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    """Writes samples at 16 kHz into the container that the path's ending names."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = 16000
        resampler = av.AudioResampler(stream.format, "mono", 16000, frame_size=stream.frame_size)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
