"""A worker: one model, which scores a part at a time. It knows no Ray."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import fsspec
from emotion2vec_runtime import load
from emotion2vec_runtime.backends.select import PrecisionChoice
from emotion2vec_runtime.errors import OutOfMemoryError, RequestError

from emotion2vec_archive.cluster.parts import Part
from emotion2vec_archive.cluster.results import recognition_of
from emotion2vec_archive.cluster.store import PartStore
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per, Row, failed, rows_of

_DEATHS = 2
"""Workers that a part may cost before its recordings are tried one by one: a node that goes is no
fault of theirs."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers of a run are told."""

    bundle: str
    """A directory, at the same path on every node."""
    store: PartStore
    per: Per = Per.RECORDING
    speech_only: bool = False
    precision: PrecisionChoice = "auto"
    provider: str = "auto"
    threads: int = 1
    """Recordings that a worker scores at once, each on a core of its own."""


@dataclass(frozen=True, slots=True)
class PartReport:
    """What became of a part; it is written."""

    recordings: int
    failed: int
    seconds: float
    """Of audio that was scored."""


class PartScorer:
    """Loads the model once, then scores the parts that it is called with."""

    def __init__(self, job: Job) -> None:
        """Raises:
        LoadError: the bundle is not there, broken, or does not fit this node.
        """
        self._job = job
        # A recording a core is the most that a CPU gives (docs/cpu.md).
        self._recognizer = load(
            job.bundle, precision=job.precision, provider=job.provider, threads=1
        )
        self._readers = ThreadPoolExecutor(job.threads)
        self._scorers = ThreadPoolExecutor(job.threads)

    def __call__(self, part: Part) -> PartReport:
        """Scores a part and writes it.

        Raises:
            OSError: it can't be written.
        """
        store = self._job.store
        is_deadly = store.begin(part.name) >= _DEATHS
        scored = list(self._one_by_one(part) if is_deadly else self._all_at_once(part))
        store.update(part, scored, self._recognizer.classes.names)
        store.end(part.name)
        return PartReport(
            recordings=len(scored),
            failed=sum(rows[0].error_code is not None for rows in scored),
            seconds=sum(rows[0].duration or 0.0 for rows in scored),
        )

    def _all_at_once(self, part: Part) -> Iterator[list[Row]]:
        # Read ahead: what a part may hold is bounded.
        reads = [self._readers.submit(_read, recording.path) for recording in part.recordings]
        return self._scorers.map(self._score, part.recordings, reads)

    def _one_by_one(self, part: Part) -> Iterator[list[Row]]:
        """Finds the recording that kills workers, and leaves it out."""
        for number, recording in enumerate(part.recordings):
            work = f"{part.name}-{number}"
            if self._job.store.begin(work):
                yield [failed(recording, "WORKER_DIED", "it ended each worker: out of memory?")]
                continue
            yield self._score(recording, self._readers.submit(_read, recording.path))
            self._job.store.end(work)

    def _score(self, recording: Recording, content: Future[bytes]) -> list[Row]:
        """Its rows, or the one that says why there are none."""
        try:
            result = self._recognizer.recognize(
                content.result(),
                per_channel=self._job.per is Per.CHANNEL,
                speech_only=self._job.speech_only,
            )
        except RequestError as error:
            return [failed(recording, error.status, str(error))]
        except OutOfMemoryError as error:
            return [failed(recording, "RESOURCE_EXHAUSTED", str(error))]
        except OSError as error:
            return [failed(recording, "UNREADABLE", error.strerror or str(error))]
        return list(rows_of(recording, recognition_of(result, self._recognizer), self._job.per))


def _read(path: str) -> bytes:
    """A recording's bytes.

    Raises:
        OSError: it can't be read.
    """
    with fsspec.open(path, "rb") as file:
        content: bytes = file.read()
    return content
