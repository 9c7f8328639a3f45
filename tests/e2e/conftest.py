"""Real servers, in processes of their own, for tests that call them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc
import pytest
from emotion2vec.v1 import service_pb2_grpc

LIMIT = 120.0


class ServerLog:
    """What a server writes, read as it comes: one that nobody reads would block it."""

    def __init__(self, stream: IO[str]) -> None:
        self.lines: list[str] = []
        self._found = 0
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=[stream], daemon=True)
        self._reader.start()

    def find(self, pattern: str) -> re.Match[str] | None:
        """Waits for a line with this pattern, after the one that was found last; None where the
        log ends without."""
        with self._news:
            while True:
                while self._found < len(self.lines):
                    self._found += 1
                    if found := re.search(pattern, self.lines[self._found - 1]):
                        return found
                if self._ended:
                    return None
                assert self._news.wait(LIMIT), f"nothing was logged for {LIMIT} s"

    def join(self) -> None:
        """Waits for the end."""
        self._reader.join(LIMIT)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


@dataclass
class RunningServer:
    """A server process, and where it listens."""

    process: subprocess.Popen[str]
    address: str
    metrics_url: str
    http_url: str
    log: ServerLog

    def wait_for(self, words: str) -> None:
        """Reads on in the log until a line has these words, or the log ends."""
        self.log.find(re.escape(words))

    def stop(self) -> int:
        """Sends SIGTERM; returns the exit status. The log is then complete."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT)
        self.log.join()
        return self.process.returncode

    def channel(self) -> grpc.Channel:
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        return grpc.insecure_channel(self.address, options=unlimited)


COMMAND = (sys.executable, "-m", "emotion2vec_server")


def start_server(
    *arguments: str, command: Sequence[str] = COMMAND, **environment: str
) -> RunningServer:
    """Starts `emotion2vec-server` on free ports and waits until it serves."""
    process = subprocess.Popen(
        [*command, "--port", "0", "--metrics-port", "0", "--http-port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stderr is not None
    log = ServerLog(process.stderr)
    metrics = "" if "--no-metrics" in arguments else log.find(r"metrics on (http://\S+)")
    serving = log.find(r"serving on (\S+:\d+)")
    if serving is None:
        process.wait(LIMIT)
        raise RuntimeError("the server did not start:\n" + "\n".join(log.lines))
    page = None if "--no-http" in arguments else log.find(r"page is at (https?://\S+)/")
    return RunningServer(
        process, serving[1], metrics[1] if metrics else "", page[1] if page else "", log
    )


@pytest.fixture
def start() -> Iterator[Callable[..., RunningServer]]:
    """Starts servers for one test, which must end well."""
    servers: list[RunningServer] = []

    def start(*arguments: str) -> RunningServer:
        servers.append(start_server(*arguments))
        return servers[-1]

    yield start
    assert [server.stop() for server in servers] == [0] * len(servers)


@pytest.fixture(scope="session")
def demo_server() -> Iterator[RunningServer]:
    """A server on the bundled demo model, shared by the tests that do it no harm."""
    server = start_server()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def stub(demo_server: RunningServer) -> Iterator[service_pb2_grpc.EmotionRecognitionServiceStub]:
    with demo_server.channel() as channel:
        yield service_pb2_grpc.EmotionRecognitionServiceStub(channel)


@pytest.fixture(scope="session")
def examples() -> list[Path]:
    """Recordings that ship with the project."""
    return sorted((Path(__file__).parents[2] / "examples").glob("*.flac"))
