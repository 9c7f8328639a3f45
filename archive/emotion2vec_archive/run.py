"""The run: recordings in, entries into the journal, as many at once as the engine has use for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import aclosing
from itertools import islice
from typing import Any, Protocol

from emotion2vec_archive.engine import Engine, ScoringError
from emotion2vec_archive.entry import Entry, entry_of, failed_entry
from emotion2vec_archive.journal import Journal
from emotion2vec_archive.limiter import MOST
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per

_SYNC_SECONDS = 1.0
"""What a power cut may cost."""
_AT_ONCE = MOST + 16


class Observer(Protocol):
    """Hears of each recording that is done with."""

    def scored(self, entry: Entry) -> None: ...


async def score_all(
    recordings: Iterable[Recording],
    engine: Engine,
    journal: Journal,
    observer: Observer,
    per: Per,
    *,
    embeddings: bool = False,
    frames: bool = False,
) -> None:
    """Scores recordings; each is in the journal as soon as it is done with.

    Raises:
        EngineError: nothing can be scored any more; what was scored is in the journal.
        OSError: the journal can't be written.
    """

    async def entry(recording: Recording) -> Entry:
        try:
            found = await engine.score(recording)
        except ScoringError as error:
            return failed_entry(recording, error.code, error.message)
        return entry_of(recording, found, per, embeddings=embeddings, frames=frames)

    entries = _as_completed((entry(recording) for recording in recordings), _AT_ONCE)
    syncing = asyncio.create_task(_sync_now_and_then(journal))
    try:
        async with aclosing(entries):
            async for done in entries:
                journal.append(done)
                observer.scored(done)
                if syncing.done():
                    syncing.result()
    finally:
        syncing.cancel()
        await asyncio.wait([syncing])
        journal.sync()


async def _sync_now_and_then(journal: Journal) -> None:
    while True:
        await asyncio.sleep(_SYNC_SECONDS)
        await asyncio.to_thread(journal.sync)


async def _as_completed(
    work: Iterable[Coroutine[Any, Any, Entry]], limit: int
) -> AsyncGenerator[Entry, None]:
    """Results as they come, of at most `limit` coroutines at once."""
    waiting = iter(work)
    running: set[asyncio.Task[Entry]] = set()
    try:
        while True:
            for one in islice(waiting, limit - len(running)):
                running.add(asyncio.create_task(one))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
