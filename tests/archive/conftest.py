"""A small archive of real recordings, and its table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest
from emotion2vec_archive.cluster.parts import plan
from emotion2vec_archive.cluster.store import PartStore
from emotion2vec_archive.cluster.worker import Job, PartScorer
from emotion2vec_archive.recording import Recording
from emotion2vec_runtime import DEMO_BUNDLE
from pyarrow import parquet

EXAMPLES = Path(__file__).parents[2] / "examples"
# With the folder before it, the second ends a script and begins another.
HOSTILE = ("<img src=x onerror=document.title='taken'>\"'.flac", "script><script>taken()<b>.flac")
NO_UTF8 = os.fsdecode(b"na\xefve.flac")


@pytest.fixture(scope="session")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of recordings, some of which can't be read."""
    folder = tmp_path_factory.mktemp("archive") / "calls"
    teams = {
        "berlin": ("angry", "disgusted", "neutral"),
        "madrid/night shift": ("happy", "sad", "surprised"),
        "madrid/<": ("fearful",),
    }
    for team, names in teams.items():
        (folder / team).mkdir(parents=True)
        for name in names:
            shutil.copy(EXAMPLES / f"{name}.flac", folder / team)
    shutil.copy(EXAMPLES / "angry.flac", folder / "berlin" / HOSTILE[0])
    (folder / "madrid/<" / HOSTILE[1]).write_bytes(b"no audio")
    shutil.copy(EXAMPLES / "happy.flac", folder / "berlin" / NO_UTF8)
    (folder / "berlin" / "empty.wav").touch()
    return folder


def recordings_in(folder: Path) -> list[Recording]:
    """All files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        Recording(str(file), file.stat().st_size, str(file.stat().st_mtime_ns)) for file in files
    ]


@pytest.fixture(scope="session")
def scores(calls: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of `calls`, in parts."""
    folder = tmp_path_factory.mktemp("tables") / "calls.parquet"
    store = PartStore(str(folder))
    store.prepare()
    scorer = PartScorer(Job(str(DEMO_BUNDLE), store))
    for part in plan(recordings_in(calls), {}, most=6):
        scorer(part)
    return folder


@pytest.fixture(scope="session")
def table(scores: Path) -> pa.Table:
    """The same as Arrow has it."""
    return parquet.read_table(scores)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A file system with the buckets `calls` and `tables`; commands that are started see it too."""
    s3fs = pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    store = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    address = f"http://{host}:{port}"
    # What earlier stores of this process were given is still there.
    urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    for name in ("calls", "tables"):
        files.mkdir(name)
    yield files
    s3fs.S3FileSystem.clear_instance_cache()
    store.stop()
