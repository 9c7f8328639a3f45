"""A real Ray cluster of several nodes, one of which is killed at work."""

from __future__ import annotations

import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
from emotion2vec_archive.cluster.parts import plan
from emotion2vec_archive.cluster.store import PartStore
from emotion2vec_archive.cluster.worker import Job, PartScorer
from emotion2vec_archive.engine import EngineError
from emotion2vec_runtime import DEMO_BUNDLE
from pyarrow import parquet

from tests.archive.conftest import EXAMPLES, recordings_in

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'emotion2vec-archive[ray]'")
engine = pytest.importorskip("emotion2vec_archive.cluster.engine")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of half a minute, and one that is none."""
    folder = tmp_path_factory.mktemp("long")
    voices = [samples_of(path) for path in sorted(EXAMPLES.glob("*.flac"))]
    for number in range(24):
        turned = np.concatenate([*voices[number % 9 :], *voices[: number % 9]])
        with wave.open(str(folder / f"{number:02}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(np.tile(turned, 2).astype("<i2").tobytes())
    (folder / "broken.mp3").write_bytes(b"no audio")
    return folder


def samples_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])


@pytest.fixture(scope="module")
def cluster() -> Iterator[cluster_utils.Cluster]:
    """A head that works nothing, and two nodes that do."""
    size = {"object_store_memory": 80 << 20}
    health = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    cluster = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "_system_config": health,
            **size,
        },
    )
    cluster.nodes = [cluster.add_node(num_cpus=1, **size) for _ in range(2)]
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def kill_when_both_work(cluster: cluster_utils.Cluster, folder: Path) -> None:
    while len(list(folder.glob("*.parquet"))) < 2 or len(list(folder.glob(".work/part-*"))) < 2:
        time.sleep(0.01)
    cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)


def test_a_killed_node_loses_and_doubles_nothing(
    cluster: cluster_utils.Cluster, archive: Path, tmp_path: Path
) -> None:
    recordings = recordings_in(archive)
    folder = tmp_path / "table.parquet"
    store = PartStore(str(folder))
    store.prepare()
    job = Job(str(DEMO_BUNDLE), store)
    killer = threading.Thread(target=kill_when_both_work, args=(cluster, folder))
    killer.start()
    parts = list(plan(recordings, {}, most=1))
    reports = list(engine.run(parts, job, engine.Workers(), address=cluster.address))
    killer.join()

    assert len(cluster.nodes) == 1
    assert sum(report.failed for report in reports) == 1
    table = parquet.read_table(folder).sort_by("path")
    assert table["path"].to_pylist() == [recording.path for recording in recordings]
    assert list(plan(recordings, store.done())) == []
    assert_equal(table, scored_here(archive, tmp_path / "here.parquet"))


def scored_here(archive: Path, folder: Path) -> pa.Table:
    store = PartStore(str(folder))
    store.prepare()
    scorer = PartScorer(Job(str(DEMO_BUNDLE), store))
    for part in plan(recordings_in(archive), {}):
        scorer(part)
    return parquet.read_table(folder).sort_by("path")


def assert_equal(table: pa.Table, expected: pa.Table) -> None:
    assert table.schema.equals(expected.schema)
    for name in table.column_names:
        if pa.types.is_floating(table[name].type):
            np.testing.assert_allclose(table[name], expected[name], atol=1e-5)
        elif not pa.types.is_list(table[name].type):
            assert table[name].to_pylist() == expected[name].to_pylist(), name


def test_a_model_that_is_not_there_is_said(
    cluster: cluster_utils.Cluster, archive: Path, tmp_path: Path
) -> None:
    store = PartStore(str(tmp_path / "table.parquet"))
    store.prepare()
    parts = list(plan(recordings_in(archive), {}))
    job = Job(str(tmp_path / "nowhere"), store)
    with pytest.raises(EngineError, match="is no model bundle"):
        list(engine.run(parts, job, engine.Workers(), address=cluster.address))


def test_workers_that_no_node_has_room_for_are_refused(
    cluster: cluster_utils.Cluster, archive: Path, tmp_path: Path
) -> None:
    parts = list(plan(recordings_in(archive), {}))
    job = Job(str(DEMO_BUNDLE), PartStore(str(tmp_path / "table.parquet")))
    with pytest.raises(EngineError, match="no node of the Ray cluster has 64 CPUs"):
        list(engine.run(parts, job, engine.Workers(cpus=64), address=cluster.address))
