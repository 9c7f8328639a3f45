"""Real servers, in processes of their own, for tests that call them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from emotion2vec.v1 import service_pb2_grpc

LIMIT = 120.0


@dataclass
class RunningServer:
    """A server process, and where it listens."""

    process: subprocess.Popen[str]
    address: str
    metrics_url: str
    log: list[str]

    def wait_for(self, words: str) -> None:
        """Reads on in the log until a line has these words, or the log ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            if words in line:
                return

    def stop(self) -> int:
        """Sends SIGTERM; returns the exit status. The rest of the log is added to `log`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=LIMIT)
        self.log += (errors or "").splitlines()
        return self.process.returncode

    def channel(self) -> grpc.Channel:
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        return grpc.insecure_channel(self.address, options=unlimited)


def start_server(*arguments: str, **environment: str) -> RunningServer:
    """Starts `emotion2vec-server` on free ports and waits until it serves."""
    command = [sys.executable, "-m", "emotion2vec_server", "--port", "0", "--metrics-port", "0"]
    process = subprocess.Popen(
        [*command, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stderr is not None
    log: list[str] = []
    metrics_url = ""
    for line in process.stderr:
        log.append(line.rstrip())
        if found := re.search(r"metrics on (http://\S+)", line):
            metrics_url = found[1]
        if found := re.search(r"serving on (\S+:\d+)", line):
            return RunningServer(process, found[1], metrics_url, log)
    process.wait(LIMIT)
    raise RuntimeError("the server did not start:\n" + "\n".join(log))


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
