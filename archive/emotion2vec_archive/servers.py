"""Where the server is, and what to do when it is gone: wait for it, or start it again."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Protocol

from emotion2vec_client import AsyncClient, Health, RecognitionError

from emotion2vec_archive.engine import EngineError

PATIENCE = 300.0
"""Seconds for which a server that is gone is waited for: a restart that loads a large model."""
_PAUSE = 0.5
_CHECK_SECONDS = 5.0
_TETHER = "emotion2vec_server.process.tether"
"""Ends the server with us, however we end."""
_SERVING = re.compile(r"serving on (\S+:\d+)")
_STOP_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16
_LINE_BYTES = 1 << 10
"""Of a line of the server's log, what is looked at."""
_STARTS = 20
"""Of one server in a run, before something is taken to be wrong with it."""


class Server(Protocol):
    """A server to score with."""

    @property
    def address(self) -> str:
        """HOST:PORT; the same for the whole run."""

    async def ready(self, client: AsyncClient) -> None:
        """Returns as soon as it serves.

        Raises:
            EngineError: it does not within PATIENCE.
        """

    async def stop(self) -> None:
        """Ends it, if it is ours."""


class NamedServer:
    """One that somebody else runs."""

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        self.address = address
        self._patience = patience

    async def ready(self, client: AsyncClient) -> None:
        until = time.monotonic() + self._patience
        while not await is_serving(client):
            if time.monotonic() > until:
                raise EngineError(
                    f"{self.address} has not served for {self._patience:.0f} s: what is scored is "
                    "kept, and the same command goes on when it is back"
                )
            await asyncio.sleep(_PAUSE)

    async def stop(self) -> None:
        pass


class OwnServer:
    """One that is started for the run, and started again when it dies."""

    def __init__(self, arguments: tuple[str, ...], log: Path) -> None:
        """`arguments` are emotion2vec-server's, whose log is kept in a file if something fails."""
        self._arguments = arguments
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._starts = 0
        self._said: deque[str] = deque(maxlen=3)
        self.address = ""

    async def ready(self, client: AsyncClient) -> None:
        async with self._starting:
            if self._process is not None and self._process.returncode is not None:
                await self.start()
        until = time.monotonic() + PATIENCE
        while not await is_serving(client):
            if time.monotonic() > until:
                raise EngineError(f"the server does not answer: {self._last_words()}")
            if self._process is None or self._process.returncode is not None:
                return await self.ready(client)
            await asyncio.sleep(_PAUSE)
        return None

    async def start(self) -> None:
        """Starts it, on the port that it had.

        Raises:
            EngineError: it does not start.
        """
        self._starts += 1
        if self._starts > _STARTS:
            raise EngineError(f"the server has died {_STARTS} times: {self._last_words()}")
        port = self.address.rpartition(":")[2] or "0"
        options = ["--port", port, "--no-http", "--no-metrics", *self._arguments]
        # In a group of its own: Ctrl-C is for us, who then stop it.
        group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
        environment = {name: os.environ[name] for name in os.environ if name[:4] != "E2V_"}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _TETHER, "emotion2vec_server", *options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            **group,
        )
        serving: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(self._process, serving))
        address = await serving
        if address is None:
            raise EngineError(f"the server did not start: {self._last_words()}")
        self.address = address

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _read(
        self, process: asyncio.subprocess.Process, serving: asyncio.Future[str | None]
    ) -> None:
        """Reads what it says: the address, and its last words."""
        assert process.stderr is not None  # noqa: S101 - a pipe
        rest = b""
        with self._log.open("ab") as log:
            # Not readline: it raises at a line of more than 64 KiB.
            while chunk := await process.stderr.read(_CHUNK_BYTES):
                log.write(chunk)
                log.flush()
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[:_LINE_BYTES]
                for line in lines:
                    self._hear(line, serving)
        if rest:
            self._hear(rest, serving)
        await process.wait()
        if not serving.done():
            serving.set_result(None)

    def _hear(self, line: bytes, serving: asyncio.Future[str | None]) -> None:
        text = line[:_LINE_BYTES].decode("utf-8", "replace").strip()
        self._said.append(text)
        if (found := _SERVING.search(text)) and not serving.done():
            serving.set_result(found[1])

    def _last_words(self) -> str:
        return " / ".join(self._said) or "it said nothing"


def can_start() -> bool:
    """Whether emotion2vec-server is installed beside this."""
    return importlib.util.find_spec("emotion2vec_server") is not None


def own_server(bundle: Path | None, log: Path) -> OwnServer:
    """A server for the run, not yet started.

    Args:
        bundle: its model; None for the demo model.
        log: where its log goes.

    Raises:
        EngineError: emotion2vec-server is not installed.
    """
    if not can_start():
        raise EngineError(
            "no server is named, and none can be started: name one with --server, or "
            "pip install emotion2vec-server 'emotion2vec-runtime[cpu]'"
        )
    return OwnServer(() if bundle is None else ("--model", str(bundle)), log)


async def is_serving(client: AsyncClient) -> bool:
    """Whether the server serves now."""
    try:
        return await client.health(timeout=_CHECK_SECONDS) is Health.SERVING
    except RecognitionError:
        return False
