"""One recording at a server that is lost in the middle of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import grpc
import pytest
from emotion2vec_archive.engine import EngineError, ModelInfo
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per
from emotion2vec_archive.server_engine import ServerEngine, Wish
from emotion2vec_archive.servers import NamedServer, OwnServer
from emotion2vec_client import AsyncClient, Health, Recognition, UnavailableError
from emotion2vec_client.audio import SHORT_BYTES
from emotion2vec_client.results import Metadata

METADATA = Metadata("demo", "1", "fp32", "cpu", 1.0, 0.0, 0.0, 0.0, 1)


class LostOnce(AsyncClient):
    """A server that hears a part of the first recording, is lost, and then hears what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = b""
        self._was_lost = False

    async def recognize(self, audio: BinaryIO, **_: Any) -> Recognition:  # type: ignore[override]
        if not self._was_lost:
            self._was_lost = True
            audio.read(SHORT_BYTES)
            raise UnavailableError("lost", code=grpc.StatusCode.UNAVAILABLE)
        self.heard = audio.read()
        return Recognition("", None, None, None, None, (), None, (), METADATA)

    async def health(self, *_: Any, **__: Any) -> Health:
        return Health.SERVING


def test_a_second_try_sends_the_whole_of_a_long_remote_file() -> None:
    sent = bytes(range(256)) * (2 * SHORT_BYTES // 256)
    fsspec.filesystem("memory").pipe_file("/long.wav", sent)

    async def heard() -> bytes:
        client = LostOnce()
        model = ModelInfo("demo", "1", ("angry",), 4)
        engine = ServerEngine(client, NamedServer("127.0.0.1:1"), Wish(Per.RECORDING), model)
        await engine.score(Recording("memory://long.wav", len(sent), ""))
        return client.heard

    assert asyncio.run(heard()) == sent


def test_a_server_that_fails_with_a_very_long_line_is_told_of(tmp_path: Path) -> None:
    option = f"--{'x' * 100_000}"
    server = OwnServer((option,), tmp_path / "log")

    async def start() -> None:
        await asyncio.wait_for(server.start(), 60)

    with pytest.raises(EngineError, match=r"did not start: .*xxx") as failure:
        asyncio.run(start())
    assert len(str(failure.value)) < 5_000
    assert option in (tmp_path / "log").read_text()
