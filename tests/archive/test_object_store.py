"""Recordings in an object store: a local server that speaks S3's protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.archive.test_score_command import EXAMPLES, score
from tests.e2e.conftest import start_server

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")


def test_a_bucket_becomes_the_table_of_its_files(bucket: Any, tmp_path: Path) -> None:
    for path in EXAMPLES[:3]:
        bucket.pipe_file(f"calls/2026/{path.name}", path.read_bytes())
    # Longer than what is read at once.
    samples, rate = soundfile.read(EXAMPLES[3], dtype="int16")
    long = tmp_path / "long.wav"
    soundfile.write(long, np.tile(samples, 20), rate, subtype="PCM_16")
    bucket.pipe_file("calls/long.wav", long.read_bytes())
    bucket.pipe_file("calls/index.html", b"left out")
    server = start_server("--no-metrics", "--no-http")
    try:
        at = ("--server", server.address, "--output")
        here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
        score(*EXAMPLES[:3], long, *at, here)
        done = score("s3://calls", *at, there, status=1)
        assert "1 file was left out: 1 .html" in done.stdout
        # What has changed there is scored again.
        bucket.pipe_file("calls/2026/angry.flac", EXAMPLES[4].read_bytes())
        done = score("s3://calls/2026/*.flac", *at, there)
        assert "1 changed since" in done.stderr
    finally:
        server.stop()
    of_here = {Path(row["path"]).name: row for row in pq.read_table(here).to_pylist()}
    of_there = {row["path"]: row for row in pq.read_table(there).to_pylist()}
    assert of_there.keys() == {
        "s3://calls/long.wav",
        *(f"s3://calls/2026/{path.name}" for path in EXAMPLES[:3]),
    }
    assert of_there["s3://calls/2026/angry.flac"]["label"] == EXAMPLES[4].stem
    for name in ("long.wav", "2026/disgusted.flac"):
        found, wanted = of_there[f"s3://calls/{name}"], of_here[Path(name).name]
        assert found["score_angry"] == pytest.approx(wanted["score_angry"], abs=1e-4)
        assert (found["bytes"], found["duration"]) == (wanted["bytes"], wanted["duration"])
