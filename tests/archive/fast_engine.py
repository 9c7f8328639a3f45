"""An engine that answers at once, with scores that follow from the path."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from emotion2vec_archive.engine import ModelInfo, ScoringError
from emotion2vec_archive.entry import Entry
from emotion2vec_archive.journal import Journal
from emotion2vec_archive.plan import Embeddings, Plan
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per
from emotion2vec_archive.run import score_all
from emotion2vec_client import Emotion, EmotionScore, Frames, Metadata, Recognition

LABELS = ("angry", "happy", "neutral")
SIZE = 4
PLAN = Plan("fast", "1", LABELS, SIZE, Per.RECORDING, False, Embeddings.COLUMN, True)


def recordings(count: int) -> list[Recording]:
    return [Recording(f"calls/{number:05}.wav", 1000 + number, "1") for number in range(count)]


def recognition_of(path: str) -> Recognition:
    """Of 1 s; the same for the same path."""
    random = np.random.default_rng(zlib.crc32(path.encode("utf-8", "surrogateescape")))
    rows = random.dirichlet(np.ones(len(LABELS)), 49).astype(np.float32)
    mean = rows.mean(0)
    scores = tuple(
        EmotionScore(label, "", float(score)) for label, score in zip(LABELS, mean, strict=True)
    )
    best = int(mean.argmax())
    return Recognition(
        request_id="",
        emotion=Emotion(LABELS[best], float(mean[best]), scores, 0.1, 0.5),
        frames=Frames(LABELS, rows, 0, 0.0, 0.02),
        embedding=random.normal(size=SIZE).astype(np.float32),
        frame_embeddings=None,
        segments=(),
        processed_audio=None,
        warnings=(),
        metadata=Metadata("fast", "1", "fp32", "cpu", 1.0, 0.0, 0.0, 0.0, 1),
    )


class FastEngine:
    """Fails for the paths that it is told, and counts what it was asked."""

    model = ModelInfo("fast", "1", LABELS, SIZE)

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.failing = set(failing)
        self.asked: list[str] = []

    async def score(self, recording: Recording) -> Recognition:
        self.asked.append(recording.path)
        await asyncio.sleep(0)
        if recording.path in self.failing:
            raise ScoringError("INVALID_ARGUMENT", "this is no audio")
        return recognition_of(recording.path)


class Silent:
    """An observer that does nothing."""

    def scored(self, entry: Entry) -> None:
        pass


def run_on(table: Path, wanted: Sequence[Recording], engine: FastEngine | None = None) -> None:
    """Scores what the journal of `table` does not know, as the command does."""
    engine = engine or FastEngine()
    with Journal(table, PLAN.to_dict()) as journal:
        waiting = [one for one in wanted if journal.state(one).value in ("new", "changed")]
        work = score_all(
            waiting, engine, journal, Silent(), Per.RECORDING, embeddings=True, frames=True
        )
        asyncio.run(work)
