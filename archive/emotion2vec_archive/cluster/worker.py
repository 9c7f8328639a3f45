"""A worker: one model, which scores a part at a time. It knows no Ray."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import fsspec
from emotion2vec_runtime import load
from emotion2vec_runtime.backends.select import PrecisionChoice
from emotion2vec_runtime.errors import ConfigError, OutOfMemoryError, RequestError
from emotion2vec_runtime.recognition.emotion import Classes

from emotion2vec_archive.cluster.parts import Part
from emotion2vec_archive.cluster.results import recognition_of
from emotion2vec_archive.cluster.store import PartStore
from emotion2vec_archive.entry import Entry, entry_of, failed_entry
from emotion2vec_archive.plan import Embeddings, Plan
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per

_DEATHS = 2
"""Workers that a part may cost before its recordings are tried one by one: a node that goes is no
fault of theirs."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers of a run are told."""

    bundle: str
    """A directory, at the same path on every node."""
    store: PartStore
    begun_with: dict[str, Any] | None = None
    """The plan of the parts that are there."""
    per: Per = Per.RECORDING
    labels: tuple[str, ...] = ()
    """Score these only; all of the model's if empty."""
    speech_only: bool = False
    embeddings: bool = False
    precision: PrecisionChoice = "auto"
    provider: str = "auto"
    threads: int = 1
    """Recordings that a worker scores at once, each on a core of its own."""


@dataclass(frozen=True, slots=True)
class PartReport:
    """What became of a part; it is written."""

    recordings: int
    failed: int
    size: int
    """Bytes, as far as they are known."""
    seconds: float
    """Of audio that was scored."""


class PartScorer:
    """Loads the model once, then scores the parts that it is called with."""

    def __init__(self, job: Job) -> None:
        """Raises:
        LoadError: the bundle is not there, broken, or does not fit this node or the table.
        InvalidRequestError: the model has no such label.
        """
        self._job = job
        # A recording a core is the most that a CPU gives (docs/cpu.md).
        self._recognizer = load(
            job.bundle, precision=job.precision, provider=job.provider, threads=1
        )
        self._plan = self._new_plan()
        if job.begun_with not in (None, self._plan.to_dict()):
            raise ConfigError(
                "the table was begun with another model or other options: take the same, or "
                "another --output"
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
        entries = list(self._one_by_one(part) if is_deadly else self._all_at_once(part))
        store.update(part.name, entries, self._plan)
        store.end(part.name)
        return PartReport(
            recordings=len(entries),
            failed=sum(entry.has_failed for entry in entries),
            size=sum(recording.size or 0 for recording in part.recordings),
            seconds=sum(entry.rows[0].duration or 0.0 for entry in entries),
        )

    def _new_plan(self) -> Plan:
        manifest, job = self._recognizer.manifest, self._job
        return Plan(
            model=manifest.name,
            model_version=manifest.version,
            labels=Classes(manifest.labels, job.labels).names,
            embedding_size=manifest.embedding_size,
            per=job.per,
            speech_only=job.speech_only,
            embeddings=Embeddings.COLUMN if job.embeddings else Embeddings.NONE,
            frames=False,
        )

    def _all_at_once(self, part: Part) -> Iterator[Entry]:
        # Read ahead: what a part may hold is bounded.
        reads = [self._readers.submit(_read, recording.path) for recording in part.recordings]
        return self._scorers.map(self._score, part.recordings, reads)

    def _one_by_one(self, part: Part) -> Iterator[Entry]:
        """Finds the recording that kills workers, and leaves it out."""
        for number, recording in enumerate(part.recordings):
            work = f"{part.name}-{number}"
            if self._job.store.begin(work):
                yield failed_entry(recording, "WORKER_DIED", "it ended its worker: out of memory?")
                continue
            yield self._score(recording, self._readers.submit(_read, recording.path))
            self._job.store.end(work)

    def _score(self, recording: Recording, content: Future[bytes]) -> Entry:
        """Its rows, or the one that says why there are none."""
        job = self._job
        try:
            result = self._recognizer.recognize(
                content.result(),
                allowed_labels=job.labels,
                per_channel=job.per is Per.CHANNEL,
                speech_only=job.speech_only,
            )
        except RequestError as error:
            return failed_entry(recording, error.status, str(error))
        except OutOfMemoryError as error:
            return failed_entry(recording, "RESOURCE_EXHAUSTED", str(error))
        except OSError as error:
            return failed_entry(recording, "UNREADABLE", error.strerror or str(error))
        recognition = recognition_of(result, self._recognizer)
        return entry_of(recording, recognition, job.per, embeddings=job.embeddings, frames=False)


def _read(path: str) -> bytes:
    """A recording's bytes.

    Raises:
        OSError: it can't be read.
    """
    with fsspec.open(path, "rb") as file:
        content: bytes = file.read()
    return content
