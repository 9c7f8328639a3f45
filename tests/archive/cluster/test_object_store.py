"""Parts in an object store, and recordings from one: a local server that speaks S3's protocol."""

from __future__ import annotations

from typing import Any

import pytest
from emotion2vec_archive.cluster.parts import plan
from emotion2vec_archive.cluster.store import PartStore
from emotion2vec_archive.cluster.worker import Job, PartScorer
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.sources import find
from emotion2vec_client.command.inputs import LeftOut
from emotion2vec_runtime import DEMO_BUNDLE

from tests.archive.conftest import EXAMPLES

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto.server")


def found() -> list[Recording]:
    """What is in the bucket, as a new process sees it."""
    s3fs.S3FileSystem.clear_instance_cache()
    return [one for one in find(["s3://calls"], LeftOut()) if isinstance(one, Recording)]


def test_a_bucket_is_scored_into_parts_in_another(bucket: Any) -> None:
    for name in ("angry", "sad", "happy"):
        bucket.pipe_file(f"calls/{name}.flac", (EXAMPLES / f"{name}.flac").read_bytes())
    store = PartStore("s3://tables/calls.parquet")
    store.prepare()
    scorer = PartScorer(Job(str(DEMO_BUNDLE), store))
    for part in plan(found(), {}, most=2):
        scorer(part)
    assert list(plan(found(), store.done())) == []

    bucket.pipe_file("calls/angry.flac", (EXAMPLES / "neutral.flac").read_bytes())
    [changed] = plan(found(), store.done())
    scorer(changed)
    assert {row.path: row.label for row in store.rows()} == {
        "s3://calls/angry.flac": "neutral",
        "s3://calls/sad.flac": "sad",
        "s3://calls/happy.flac": "happy",
    }
    assert len(bucket.find("tables")) == 2
