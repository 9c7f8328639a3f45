"""`emotion2vec score` at work: find, score, write the table, sum up."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from emotion2vec_client import AsyncClient
from emotion2vec_client.command.arguments import raw_format
from emotion2vec_client.command.terminal import Terminal

from emotion2vec_archive.command.closing import close
from emotion2vec_archive.command.finding import Found, find_recordings
from emotion2vec_archive.engine import EngineError, ModelInfo
from emotion2vec_archive.journal import Journal, JournalError, State
from emotion2vec_archive.plan import Embeddings, Plan
from emotion2vec_archive.progress import Shown, Tally, watching
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per
from emotion2vec_archive.run import score_all
from emotion2vec_archive.server_engine import TIMEOUT, ServerEngine, Wish
from emotion2vec_archive.servers import NamedServer, Server, is_serving, own_server
from emotion2vec_archive.summary import Summary
from emotion2vec_archive.table.build import build, frames_path
from emotion2vec_archive.table.formats import FORMATS

_FAILED = 1
_INTERRUPTED = 130
_THREADS = 32
"""That read recordings: from an object store each takes its time."""


def score(arguments: Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code.

    Raises:
        ValueError: the arguments don't fit each other.
        OSError: a list or the output can't be opened.
    """
    wish = _wish(arguments)
    embeddings = _embeddings(arguments)
    _check_output(arguments.output)
    found = find_recordings(arguments, terminal)
    job = _Job(arguments, wish, embeddings, found, terminal)
    try:
        return asyncio.run(job.run(connection))
    except KeyboardInterrupt:
        terminal.error("interrupted: what is scored is kept, and the same command goes on")
        return _INTERRUPTED
    except (EngineError, JournalError) as error:
        terminal.error(str(error))
        return _FAILED
    except OSError as error:
        terminal.error(
            f"{arguments.output}: {error.strerror or error}: what is scored is kept, and "
            "the same command goes on when there is room for it"
        )
        return _FAILED


class _Job:
    """One run of the command."""

    def __init__(
        self,
        arguments: Namespace,
        wish: Wish,
        embeddings: Embeddings,
        found: Found,
        terminal: Terminal,
    ) -> None:
        self._arguments = arguments
        self._wish = wish
        self._embeddings = embeddings
        self._found = found
        self._terminal = terminal
        self._shown = Shown.NONE if arguments.quiet else Shown(arguments.progress)

    async def run(self, connection: dict[str, Any]) -> int:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        server = await self._server(connection)
        settings = {"timeout": TIMEOUT, **connection, "server": server.address}
        try:
            async with AsyncClient(**settings) as client:
                engine = await ServerEngine.connect(client, server, self._wish)
                plan = self._plan(engine.model)
                with Journal(self._arguments.output, plan.to_dict()) as journal:
                    await self._score(engine, journal)
                    code = self._finish(plan, journal)
            if not code:
                server_log(self._arguments.output).unlink(missing_ok=True)
            return code
        finally:
            await server.stop()

    async def _server(self, connection: dict[str, Any]) -> Server:
        """The server that is named, or the one that is there, or one that is started."""
        named = NamedServer(connection["server"])
        if self._arguments.bundle is None:
            if self._arguments.server is not None:
                return named
            async with AsyncClient(**connection) as client:
                if await is_serving(client):
                    return named
        server = own_server(self._arguments.bundle, server_log(self._arguments.output))
        await server.start()
        if self._arguments.bundle is None and not self._arguments.quiet:
            self._terminal.error(
                "no server is named or runs here: one on the demo model, which knows synthesised "
                "speech only, scores this; --bundle DIR has one on a model of yours"
            )
        return server

    def _plan(self, model: ModelInfo) -> Plan:
        return Plan(
            model=model.name,
            model_version=model.version,
            labels=tuple(model.labels),
            embedding_size=model.embedding_size,
            per=self._wish.per,
            speech_only=self._wish.speech_only,
            embeddings=self._embeddings,
            frames=self._arguments.frames,
        )

    async def _score(self, engine: ServerEngine, journal: Journal) -> None:
        states = Counter(journal.state(one) for one in self._found.recordings)
        waiting = [one for one in self._found.recordings if self._is_to_be_scored(journal, one)]
        self._tell_states(states, journal.damaged)
        tally = Tally(len(waiting), sum(one.size or 0 for one in waiting))
        with watching(self._shown, tally) as watch:
            await score_all(
                waiting,
                engine,
                journal,
                watch,
                self._wish.per,
                embeddings=self._embeddings is not Embeddings.NONE,
                frames=self._arguments.frames,
            )

    def _is_to_be_scored(self, journal: Journal, recording: Recording) -> bool:
        state = journal.state(recording)
        if state is State.FAILED:
            return bool(self._arguments.retry_failed)
        return state is not State.DONE

    def _tell_states(self, states: Counter[State], damaged: int) -> None:
        parts = [f"{states[State.DONE]} done already"] if states[State.DONE] else []
        if states[State.CHANGED]:
            parts.append(f"{states[State.CHANGED]} changed since and scored again")
        if states[State.FAILED]:
            again = "tried again" if self._arguments.retry_failed else "not tried: --retry-failed"
            parts.append(f"{states[State.FAILED]} failed before ({again})")
        if damaged:
            parts.append(f"{damaged} damaged in the journal and scored again")
        if parts and self._shown not in (Shown.NONE, Shown.JSON):
            self._terminal.error(", ".join(parts))

    def _finish(self, plan: Plan, journal: Journal) -> int:
        """Writes the table and sums up."""
        arguments = self._arguments
        summary = Summary(arguments.top_label, arguments.top_by, arguments.top)
        build(arguments.output, plan, journal.entries(), summary.see)
        files = {"table": str(arguments.output)}
        if arguments.frames:
            files["frames"] = str(frames_path(arguments.output))
        return close(summary, self._found, files, self._shown, self._terminal)


def server_log(table: Path) -> Path:
    """Where the log of a server goes that is started for the run; it stays if something failed."""
    return table.with_name(f"{table.name}.server.log")


def _wish(arguments: Namespace) -> Wish:
    per = Per(arguments.per)
    if per in (Per.SEGMENT, Per.UTTERANCE) and arguments.embeddings is not None:
        raise ValueError(f"--embeddings has one a recording or channel, not one a {per}")
    return Wish(
        per=per,
        model=arguments.model,
        labels=arguments.labels,
        speech_only=arguments.speech_only,
        embeddings=arguments.embeddings is not None,
        raw=raw_format(arguments),
    )


def _embeddings(arguments: Namespace) -> Embeddings:
    if arguments.embeddings is None:
        return Embeddings.NONE
    if arguments.embeddings == "column" and arguments.output.suffix.lower() != ".parquet":
        raise ValueError("--embeddings column is of .parquet; take --embeddings npy")
    return Embeddings(arguments.embeddings)


def _check_output(table: Path) -> None:
    if table.suffix.lower() not in FORMATS:
        raise ValueError(f"--output {table}: its name must end in {', '.join(FORMATS)}")
    if table.is_dir() or not table.parent.is_dir():
        raise ValueError(f"--output {table}: there is no such directory, or it is one itself")
