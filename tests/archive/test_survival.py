"""A run that is killed, cut off or out of room loses no finished recording and doubles none."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from emotion2vec_archive.journal import Journal, JournalError, State
from emotion2vec_archive.recording import Recording
from emotion2vec_archive.table.build import build, frames_path

from tests.archive.fast_engine import (
    PLAN,
    FastEngine,
    recognition_of,
    recordings,
    run_on,
)

KILLS = 50
COUNT = 4000
ROOT = Path(__file__).parents[2]


def finish(table: Path) -> list[str]:
    """Writes the table; its paths."""
    with Journal(table, PLAN.to_dict()) as journal:
        build(table, PLAN, journal.entries(), lambda row: None)
    found = pq.read_table(table)
    for path, score in zip(
        found["path"].to_pylist(), found["score_angry"].to_pylist(), strict=True
    ):
        emotion = recognition_of(path).emotion
        assert emotion is not None
        assert score == pytest.approx(emotion.scores[0].probability)
    paths: list[str] = found["path"].to_pylist()
    return paths


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is of POSIX")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    table, wanted = tmp_path / "table.parquet", recordings(COUNT)
    command = [sys.executable, "-m", "tests.archive.killing", table, str(COUNT), str(KILLS)]
    output = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout
    knew = [0, *map(int, output.split())]
    assert len(knew) == KILLS + 1
    assert sorted(knew) == knew, "a finished recording was lost"
    assert len(set(knew)) > KILLS / 2, "most kills came before anything was done"
    known = knew[-1]
    assert known < COUNT, "the last ones had nothing to do"
    engine = FastEngine()
    run_on(table, wanted, engine)
    assert len(engine.asked) == len(wanted) - known
    assert finish(table) == [one.path for one in wanted]


def test_cut_off_anywhere(tmp_path: Path) -> None:
    """As a power cut leaves it: the end is missing, or was never more than zeros."""
    table, wanted = tmp_path / "table.parquet", recordings(12)
    run_on(table, wanted)
    journal = table.with_name("table.parquet.journal")
    whole = journal.read_bytes()
    chance = random.Random(2)
    for zeros in (0, 100):
        for cut in [0, 1, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(20))]:
            journal.write_bytes(whole[:cut] + bytes(zeros))
            engine = FastEngine()
            run_on(table, wanted, engine)
            lines = max(whole[:cut].count(b"\n") - 1, 0)
            assert len(engine.asked) == len(wanted) - lines
            assert finish(table) == [one.path for one in wanted]
            table.unlink()


def test_a_damaged_entry_is_scored_again(tmp_path: Path) -> None:
    table, wanted = tmp_path / "table.parquet", recordings(5)
    run_on(table, wanted)
    journal = table.with_name("table.parquet.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"score', b'"scare').replace(b"0", b"1", 1)
    journal.write_bytes(b"".join(lines))
    engine = FastEngine()
    run_on(table, wanted, engine)
    assert len(engine.asked) == 1
    assert finish(table) == [one.path for one in wanted]


IN_LITTLE_ROOM = """
import resource, signal, sys
from pathlib import Path
from tests.archive.fast_engine import recordings, run_on

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    run_on(Path(sys.argv[1]), recordings(100))
except OSError:
    sys.exit(28)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are of POSIX")
def test_a_full_disk(tmp_path: Path) -> None:
    """No file may grow beyond a limit: writing fails as it does where there is no room."""
    table, wanted = tmp_path / "table.parquet", recordings(100)
    command = [sys.executable, "-c", IN_LITTLE_ROOM, table]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == 28
    with Journal(table, PLAN.to_dict()) as journal:
        kept = len(journal)
    assert 5 < kept < 100
    engine = FastEngine()
    run_on(table, wanted, engine)
    assert len(engine.asked) == 100 - kept
    assert finish(table) == [one.path for one in wanted]


def test_no_room_for_the_table_leaves_the_old_one(tmp_path: Path) -> None:
    table, wanted = tmp_path / "table.parquet", recordings(3)
    run_on(table, wanted)
    finish(table)
    before = table.read_bytes(), frames_path(table).read_bytes()

    def fail(row: object) -> None:
        raise OSError(28, "No space left on device")

    with Journal(table, PLAN.to_dict()) as journal, pytest.raises(OSError, match="No space"):
        build(table, PLAN, journal.entries(), fail)
    assert (table.read_bytes(), frames_path(table).read_bytes()) == before
    left = {path.name for path in tmp_path.iterdir()}
    assert not [name for name in left if name.endswith(".part")]


def test_changed_recordings_are_scored_again(tmp_path: Path) -> None:
    table, wanted = tmp_path / "table.parquet", recordings(4)
    run_on(table, wanted)
    wanted[2] = Recording(wanted[2].path, wanted[2].size, "2")
    engine = FastEngine()
    run_on(table, wanted, engine)
    assert engine.asked == [wanted[2].path]
    assert finish(table) == [one.path for one in wanted]


def test_failures_are_kept_and_told_apart(tmp_path: Path) -> None:
    table, wanted = tmp_path / "table.parquet", recordings(4)
    run_on(table, wanted, FastEngine(failing=[wanted[1].path]))
    with Journal(table, PLAN.to_dict()) as journal:
        states = [journal.state(one) for one in wanted]
        assert states == [State.DONE, State.FAILED, State.DONE, State.DONE]
        build(table, PLAN, journal.entries(), lambda row: None)
    found = pq.read_table(table)
    assert found["error_code"].to_pylist() == [None, "INVALID_ARGUMENT", None, None]
    assert found["embedding"].to_pylist()[1] is None


def test_another_plan_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    run_on(table, recordings(1))
    with pytest.raises(JournalError, match="model_version '1', not '2'"):
        Journal(table, {**PLAN.to_dict(), "model_version": "2"})
    with Journal(table, PLAN.to_dict()), pytest.raises(JournalError, match="another run"):
        Journal(table, PLAN.to_dict())


def test_a_table_of_others_is_not_overwritten(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    table.write_bytes(b"precious")
    with pytest.raises(JournalError, match="name another output"):
        Journal(table, PLAN.to_dict())
    assert table.read_bytes() == b"precious"
