"""Whenever an export is killed, the bundle is the old or the new one, and nothing else is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from emotion2vec_export.destination import Destination
from emotion2vec_export.errors import ExportError
from emotion2vec_export.workplace import Workplace

AT_WORK = """
import sys, time
from pathlib import Path
from emotion2vec_export.workplace import Workplace
with Workplace(Path(sys.argv[1])).claim() as fresh:
    (fresh / "half done").mkdir()
    (fresh / "half done" / "graph").write_text("half")
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process, at work on `tmp_path / "bundle"`."""
    command = [sys.executable, "-c", AT_WORK, str(tmp_path / "bundle")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


def test_a_second_export_into_a_directory_is_refused(other, tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match=r"another export is writing .*bundle"),
        Destination(tmp_path / "bundle").replacing(),
    ):
        pass
    assert (tmp_path / ".bundle.new" / "half done" / "graph").is_file()
    with Destination(tmp_path / "beside").replacing():
        pass


def test_what_a_dead_one_left_goes_with_the_next(other, tmp_path: Path) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / ".bundle.new" / "half done" / "graph").is_file()
    with Destination(tmp_path / "bundle").replacing() as fresh:
        assert list(fresh.iterdir()) == []
        (fresh / "manifest.json").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["manifest.json"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Workplace(tmp_path / "bundle").claim() as fresh:
        (fresh / "graph").write_text(str(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_had_stepped_aside_comes_back(tmp_path: Path) -> None:
    """Killed between the two renames."""
    aside = tmp_path / ".bundle.old"
    aside.mkdir()
    (aside / "manifest.json").write_text("old")
    with pytest.raises(ExportError, match="can't be kept"):  # It is there, and no real one.
        Destination(tmp_path / "bundle")
    assert (tmp_path / "bundle" / "manifest.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("")
    (tmp_path / ".bundle.new").symlink_to(precious)
    with (
        pytest.raises(ExportError, match="can't write"),
        Destination(tmp_path / "bundle").replacing(),
    ):
        pass
    assert (precious / "file").exists()
