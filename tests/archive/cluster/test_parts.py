"""A table in parts: whoever dies, whenever, it goes on without a row lost or doubled."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from emotion2vec_archive.cluster.parts import Part, plan
from emotion2vec_archive.cluster.store import PartStore
from emotion2vec_archive.cluster.worker import Job, PartScorer
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.row import Per, Row, failed, rows_of
from emotion2vec_archive.schema import columns_of
from emotion2vec_client import Client, RecognitionError
from emotion2vec_runtime import DEMO_BUNDLE
from pyarrow import parquet

from tests.archive.conftest import EXAMPLES, NO_UTF8, recordings_in
from tests.e2e.conftest import start_server


@pytest.fixture
def store(tmp_path: Path) -> PartStore:
    store = PartStore(str(tmp_path / "table [1].parquet"))
    store.prepare()
    return store


@pytest.fixture(scope="module")
def scorer() -> PartScorer:
    """One for all tests; they give it their stores."""
    return PartScorer(Job(str(DEMO_BUNDLE), PartStore("/nowhere")))


def score(scorer: PartScorer, store: PartStore, parts: list[Part]) -> int:
    """Scores parts; returns how many recordings that were."""
    scorer._job = replace(scorer._job, store=store)
    return sum(scorer(part).recordings for part in parts)


def paths_in(store: PartStore) -> Counter[str]:
    """How many rows each recording has."""
    tables = [store.read(name) for name in store.names()]
    return Counter(path for table in tables if table for path in table["path"].to_pylist())


def test_rows_are_those_that_a_server_gives(scores: Path) -> None:
    server = start_server("--no-metrics", "--no-http")
    with Client(server.address) as client:
        for row in parquet.read_table(scores).to_pylist():
            path = row["path"] if row["path_bytes"] is None else os.fsdecode(row["path_bytes"])
            expected = columns_of(row_by(client, Recording(path, row["bytes"], "")))
            for name, value in row.items():
                assert_alike(value, expected.get(name))
    assert server.stop() == 0


def row_by(client: Client, recording: Recording) -> Row:
    """A recording's row, by way of a server."""
    try:
        recognition = client.recognize(recording.path, frames=True)
    except RecognitionError as error:
        return failed(recording, error.code.name, error.message)
    [row] = rows_of(recording, recognition, Per.RECORDING)
    return row


def assert_alike(value: object, expected: object) -> None:
    """Equal, numbers but for rounding."""
    if isinstance(expected, list):
        assert isinstance(value, list)
        for one, other in zip(value, expected, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                assert_alike(one[name], other[name])
    elif isinstance(expected, float):
        assert value == pytest.approx(expected, abs=1e-4)
    else:
        assert value == expected


def test_what_is_done_is_not_done_again(calls: Path, scorer: PartScorer, store: PartStore) -> None:
    recordings = recordings_in(calls)
    first = next(plan(recordings, {}, most=4))
    score(scorer, store, [first])
    left = list(plan(recordings, store.done(), most=4))
    assert score(scorer, store, left) == len(recordings) - len(first.recordings)
    assert list(plan(recordings, store.done())) == []
    assert set(paths_in(store).values()) == {1}
    assert sum(paths_in(store).values()) == len(recordings)
    assert NO_UTF8 in {Path(path).name for path in store.done()}


def test_changed_and_failed_recordings_get_new_rows_in_the_place_of_the_old(
    tmp_path: Path, scorer: PartScorer, store: PartStore
) -> None:
    good, bad = tmp_path / "good.flac", tmp_path / "bad.flac"
    good.write_bytes((EXAMPLES / "angry.flac").read_bytes())
    bad.write_bytes(b"no audio")
    score(scorer, store, list(plan(recordings_in_pair(good, bad), {})))

    bad.write_bytes((EXAMPLES / "sad.flac").read_bytes())
    [part] = plan(recordings_in_pair(good, bad), store.done())
    assert [Path(one.path).name for one in part.recordings] == ["bad.flac"]
    score(scorer, store, [part])
    [name] = store.names()
    table = store.read(name)
    assert table is not None
    rows = {Path(row["path"]).name: row["label"] for row in table.to_pylist()}
    assert rows == {"good.flac": "angry", "bad.flac": "sad"}


def test_failed_recordings_are_tried_again_only_on_request(
    tmp_path: Path, scorer: PartScorer, store: PartStore
) -> None:
    bad = tmp_path / "bad.flac"
    bad.write_bytes(b"no audio")
    recordings = recordings_in_pair(bad)
    score(scorer, store, list(plan(recordings, {})))
    assert list(plan(recordings, store.done())) == []
    [again] = plan(recordings, store.done(), retry_failed=True)
    score(scorer, store, [again])
    assert set(paths_in(store).values()) == {1}


def recordings_in_pair(*files: Path) -> list[Recording]:
    return [Recording(str(file), file.stat().st_size, file.read_bytes().hex()) for file in files]


_DEADLY = """
import os, pickle, sys
from emotion2vec_archive.cluster.worker import PartScorer
job, part, deadly = pickle.load(sys.stdin.buffer)
scorer = PartScorer(job)
recognize = scorer._recognizer.recognize
scorer._recognizer.recognize = (
    lambda audio, **options: os._exit(9) if audio == deadly else recognize(audio, **options)
)
scorer(part)
"""


def test_a_recording_that_kills_workers_becomes_a_row(calls: Path, store: PartStore) -> None:
    recordings = recordings_in(calls)
    [part] = plan(recordings, {})
    deadly = (EXAMPLES / "sad.flac").read_bytes()
    asked = pickle.dumps((Job(str(DEMO_BUNDLE), store), part, deadly))
    tries = 0
    while subprocess.run([sys.executable, "-c", _DEADLY], input=asked, check=False).returncode:
        tries += 1
        assert tries < 6, "it never ends"
    [name] = store.names()
    table = store.read(name)
    assert table is not None
    codes = {Path(row["path"]).name: row["error_code"] for row in table.to_pylist()}
    assert codes["sad.flac"] == "WORKER_DIED"
    assert codes["angry.flac"] is None
    assert len(codes) == len(recordings)


def test_a_part_is_there_as_a_whole_or_not_at_all(
    calls: Path, scorer: PartScorer, store: PartStore, tmp_path: Path
) -> None:
    [part] = plan(recordings_in(calls), {})
    folder = tmp_path / "table [1].parquet"
    resource = pytest.importorskip("resource")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="large"):
            score(scorer, store, [part])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert store.names() == []
    assert score(scorer, store, [part]) == len(part.recordings)
    assert len(parquet.read_table(folder)) == len(part.recordings)
