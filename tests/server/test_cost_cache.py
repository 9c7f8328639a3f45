"""The cost cache: right key, right numbers; anything else is measured again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emotion2vec_server.cost import CostModel, Point
from emotion2vec_server.cost_cache import CostCache, cache_directory, processor

KEY = {"processor": "x", "bundle": "abc", "threads": "2"}
MODEL = CostModel([Point(1, 50, 0.1), Point(2, 50, 0.15), Point(1, 150, 0.3)])


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    cache = CostCache(tmp_path / "made" / "here")
    assert cache.load(KEY) is None
    cache.store(KEY, MODEL)
    loaded = cache.load(KEY)
    assert loaded is not None
    assert loaded.points == MODEL.points
    assert loaded.seconds(4, 100) == MODEL.seconds(4, 100)
    assert [path.suffix for path in (tmp_path / "made" / "here").iterdir()] == [".json"]


def test_another_key_is_another_model(tmp_path: Path) -> None:
    CostCache(tmp_path).store(KEY, MODEL)
    assert CostCache(tmp_path).load({**KEY, "threads": "4"}) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"format_version": 2}',
        json.dumps({"format_version": 1, "key": KEY, "points": []}).encode(),
        json.dumps({"key": KEY, "points": [{"batch": 1, "frames": 50, "seconds": -1.0}]}).encode(),
        b'{"key": {}, "points": [{"batch": 1, "frames": 50, "seconds": NaN}]}',
        json.dumps({"key": {}, "points": [{"batch": 1, "frames": 5, "seconds": 1.0}]}).encode(),
    ],
)
def test_a_file_that_makes_no_sense_is_ignored_and_replaced(tmp_path: Path, content: bytes) -> None:
    cache = CostCache(tmp_path)
    cache.store(KEY, MODEL)
    [path] = tmp_path.iterdir()
    path.write_bytes(content)
    assert cache.load(KEY) is None
    cache.store(KEY, MODEL)
    assert cache.load(KEY) is not None


def test_a_directory_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = CostCache(tmp_path / "file" / "below")
    cache.store(KEY, MODEL)
    assert cache.load(KEY) is None


def test_the_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "emotion2vec-server"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == Path.home() / ".cache" / "emotion2vec-server"


def test_the_processor_has_a_name() -> None:
    assert processor()
