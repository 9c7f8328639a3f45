"""`emotion2vec score` as its users run it, on real servers with the demo model."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from emotion2vec_archive.report.reading import read_table
from emotion2vec_client import Client
from emotion2vec_client.readings import read

from tests.e2e.conftest import RunningServer, start_server

COMMAND = (sys.executable, "-m", "emotion2vec_client", "score")
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.flac"))
LIMIT = 120.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    running = start_server("--no-metrics", "--no-http")
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def no_server_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOTION2VEC_SERVER", raising=False)


def score(*arguments: object, status: int = 0, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=text)
    assert done.returncode == status, done.stderr
    return done


def copies(folder: Path, count: int) -> list[Path]:
    """The examples again and again, in a tree."""
    paths = []
    for number in range(count):
        place = folder / f"{number % 3}" / f"{number:04}.flac"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(EXAMPLES[number % len(EXAMPLES)], place)
        paths.append(place)
    return sorted(paths)


def rows(table: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(table).to_pylist()
    return found


def test_a_folder_becomes_a_table(server: RunningServer, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    wanted = copies(calls, 9)
    (calls / "broken.wav").write_bytes(b"no audio at all")
    (calls / "notes.txt").write_text("left out")
    raw = os.fsencode(calls) + b"/caf\xe9.flac"
    shutil.copy(EXAMPLES[0], raw)
    table = tmp_path / "table.parquet"
    done = score(calls, "--server", server.address, "--output", table, status=1)
    found = {row["path_bytes"] or os.fsencode(row["path"]): row for row in rows(table)}
    assert found.keys() == {*map(os.fsencode, wanted), os.fsencode(calls / "broken.wav"), raw}
    broken = found.pop(os.fsencode(calls / "broken.wav"))
    assert (broken["label"], broken["error_code"]) == (None, "INVALID_ARGUMENT")
    with Client(server.address) as client:
        for path, row in found.items():
            one = client.recognize(os.fsdecode(path), frames=True)
            assert one.emotion is not None
            assert row["label"] == one.emotion.label
            assert row["bytes"] == Path(os.fsdecode(path)).stat().st_size
            assert row["duration"] == one.metadata.audio_duration
            assert (row["sample_rate"], row["channels"]) == (16000, 1)
            for each in one.emotion.scores:
                assert row[f"score_{each.label}"] == pytest.approx(each.probability, abs=1e-4)
            shares = [row[f"share_{each.label}"] for each in one.emotion.scores]
            assert sum(shares) == pytest.approx(1)
    assert "1 file was left out: 1 .txt" in done.stdout
    assert "failed: 1 INVALID_ARGUMENT" in done.stdout
    # The two angry ones are at the top.
    top = done.stdout.partition("top 5 by peak of angry:")[2].split()
    assert str(calls / "0" / "0000.flac") in top[:4]


def test_csv_and_json_lines_hold_the_same(server: RunningServer, tmp_path: Path) -> None:
    tables = [tmp_path / f"table{suffix}" for suffix in (".parquet", ".csv", ".jsonl")]
    for table in tables:
        score(*EXAMPLES[:3], "--server", server.address, "--output", table, "--quiet")
    with tables[1].open(encoding="utf-8", newline="") as file:
        as_csv = list(csv.DictReader(file))
    as_json = [json.loads(line) for line in tables[2].read_text(encoding="utf-8").splitlines()]
    for row, one, other in zip(rows(tables[0]), as_csv, as_json, strict=True):
        assert row.keys() == one.keys() == other.keys()
        for name, value in row.items():
            if isinstance(value, float):
                assert float(one[name]) == pytest.approx(value, rel=1e-3, abs=1e-5)
                assert other[name] == pytest.approx(value, rel=1e-3, abs=1e-5)
            elif isinstance(value, str | int) and not isinstance(value, bool):
                assert (one[name], other[name]) == (str(value), value)
            elif value is None:
                assert (one[name], other[name]) == ("", None)
        assert len(json.loads(one["alerts"])) == len(other["alerts"]) == len(row["alerts"])


def test_no_cell_of_csv_opens_as_a_formula(server: RunningServer, tmp_path: Path) -> None:
    names = ["=1+2.flac", "-a.flac", "@b.flac", "'=c.flac", "'d.flac", "e=f.flac"]
    for name in names:
        shutil.copy(EXAMPLES[0], tmp_path / name)
    table = tmp_path / "table.csv"
    command = [*COMMAND, "--list", "-", "--server", server.address, "--output", str(table)]
    subprocess.run(
        command, check=True, capture_output=True, text=True, input="\n".join(names), cwd=tmp_path
    )
    with table.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert {"'=1+2.flac", "'-a.flac", "'@b.flac", "''=c.flac", "'d.flac", "e=f.flac"} <= set(cells)
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}]
    assert sorted(read_table(table)["path"].to_pylist()) == sorted(names)


def test_embeddings_and_frames(server: RunningServer, tmp_path: Path) -> None:
    by_column, by_file = tmp_path / "one.parquet", tmp_path / "two.csv"
    command = (*EXAMPLES[:3], "--server", server.address)
    score(*command, "--output", by_column, "--embeddings", "column", "--frames")
    score(*command, "--output", by_file, "--embeddings", "npy")
    column = np.array([row["embedding"] for row in rows(by_column)], np.float32)
    with by_file.open(newline="") as file:
        numbers = [int(row["embedding_row"]) for row in csv.DictReader(file)]
    vectors = np.load(tmp_path / "two.embeddings.npy")
    assert np.allclose(vectors[numbers], column, atol=1e-3)
    frames = pq.read_table(tmp_path / "one.frames.parquet").to_pylist()
    with Client(server.address) as client:
        one = client.recognize(EXAMPLES[1], frames=True)
    assert one.frames is not None
    of_one = [row for row in frames if row["path"] == str(EXAMPLES[1])]
    assert [row["time"] for row in of_one] == pytest.approx(one.frames.times.tolist())
    scores = [[row[label] for label in one.frames.labels] for row in of_one]
    assert np.allclose(scores, one.frames.probabilities, atol=1e-4)


def test_lists_on_standard_input(server: RunningServer, tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    lines = "".join(f"{path}\0" for path in [*EXAMPLES[:2], EXAMPLES[0], tmp_path / "gone.wav"])
    done = score("-", "--server", server.address, "--output", table, text=lines, status=1)
    assert len(table.read_text().splitlines()) == 2
    assert "gone.wav: no such file" in done.stderr


def test_the_next_run_does_what_is_left(server: RunningServer, tmp_path: Path) -> None:
    calls, table = tmp_path / "calls", tmp_path / "table.parquet"
    wanted = copies(calls, 4)
    broken = calls / "broken.wav"
    broken.write_bytes(b"no audio")
    command = (calls, "--server", server.address, "--output", table, "--progress", "json")
    score(*command, status=1)
    # Nothing to do; then one is mended, one has changed, one is new.
    done = score(*command, status=1)
    assert json.loads(done.stdout)["rows"] == 5
    shutil.copy(EXAMPLES[2], wanted[0])
    shutil.copy(EXAMPLES[3], calls / "new.flac")
    broken.unlink()
    os.link(EXAMPLES[4], broken)
    done = score(*command)
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["done"], last["total"], last["failed"]) == (3, 3, 0)
    assert len({row["path"] for row in rows(table)}) == len(rows(table)) == 6


def entries(table: Path) -> int:
    journal = table.with_name(f"{table.name}.journal")
    return max(journal.read_bytes().count(b"\n") - 1, 0) if journal.exists() else 0


def until(condition: Any) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_with_a_server_of_its_own(tmp_path: Path) -> None:
    """Nothing is lost or doubled, and the server does not stay behind."""
    calls, table = tmp_path / "calls", tmp_path / "table.parquet"
    wanted = copies(calls, 150)
    # Where nothing listens, so that a server is started.
    command = [*COMMAND, str(calls), "--output", str(table), "--quiet", "--bundle", str(demo())]
    process = subprocess.Popen(command)
    until(lambda: entries(table) >= 10)
    (server,) = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert entries(table) < len(wanted)
    until(lambda: not is_running(server))
    score(calls, "--output", table, "--bundle", demo())
    assert [row["path"] for row in rows(table)] == list(map(str, wanted))
    assert not [row for row in rows(table) if row["error_code"]]


def demo() -> Path:
    from emotion2vec_runtime import DEMO_BUNDLE

    return Path(DEMO_BUNDLE)


def test_a_server_that_restarts(tmp_path: Path) -> None:
    calls, table = tmp_path / "calls", tmp_path / "table.parquet"
    wanted = copies(calls, 150)
    server = start_server("--no-metrics", "--no-http")
    command = [*COMMAND, str(calls), "--output", str(table), "--server", server.address]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: entries(table) >= 10)
    server.process.kill()
    server.process.wait()
    assert entries(table) < len(wanted)
    port = server.address.rpartition(":")[2]
    server = start_server("--no-metrics", "--no-http", "--port", port)
    try:
        assert process.wait(LIMIT) == 0
    finally:
        server.stop()
    assert [row["path"] for row in rows(table)] == list(map(str, wanted))
    assert not [row for row in rows(table) if row["error_code"]]


def test_mistakes_are_told(server: RunningServer, tmp_path: Path) -> None:
    at = ("--server", server.address, "--output")
    done = score(EXAMPLES[0], *at, tmp_path / "table.xlsx", status=2)
    assert "must end in .parquet, .csv" in done.stderr
    done = score(EXAMPLES[0], *at, tmp_path / "t.csv", "--labels", "furious", status=1)
    assert "no label furious; it has angry" in done.stderr
    done = score(EXAMPLES[0], "--server", "127.0.0.1:1", "--output", tmp_path / "t.csv", status=1)
    assert "can't reach emotion2vec-server at 127.0.0.1:1" in done.stderr
    done = score(tmp_path, *at, tmp_path / "t.csv", status=2)
    assert "nothing to score" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C by signal")
def test_interrupted(server: RunningServer, tmp_path: Path) -> None:
    calls, table = tmp_path / "calls", tmp_path / "table.parquet"
    wanted = copies(calls, 150)
    command = [*COMMAND, str(calls), "--output", str(table), "--server", server.address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: entries(table) >= 10)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert err.endswith("interrupted: what is scored is kept, and the same command goes on\n")
    assert 10 <= entries(table) < len(wanted)
    score(calls, "--server", server.address, "--output", table)
    assert [row["path"] for row in rows(table)] == list(map(str, wanted))


def test_a_row_an_utterance(server: RunningServer, tmp_path: Path) -> None:
    """Three voices with pauses between them, of which one is too long for one utterance."""
    voices = {path.stem: soundfile.read(path, dtype="int16")[0] for path in EXAMPLES}
    pause, long = np.zeros(16_000, np.int16), np.resize(voices["sad"], 17 * 16_000)
    call = np.concatenate([pause, voices["angry"], pause, long, pause, voices["happy"], pause])
    calls = tmp_path / "calls"
    calls.mkdir()
    soundfile.write(calls / "call.wav", call, 16_000, subtype="PCM_16")
    # Cut, where it would go unheard that something is missing.
    soundfile.write(calls / "silence.wav", np.tile(pause, 3), 16_000, subtype="PCM_16")
    (calls / "silence.wav").write_bytes((calls / "silence.wav").read_bytes()[:-32_000])
    table = tmp_path / "table.parquet"
    score(calls, "--per", "utterance", "--server", server.address, "--output", table)
    *said, silence = rows(table)
    assert [row["utterance"] for row in said] == [0, 1, 2, 3]
    assert [row["ended_by"] for row in said] == ["silence", "longest", "silence", "silence"]
    assert said[0]["label"] == "angry"
    assert said[3]["label"] == "happy"
    assert said[2]["start"] == said[1]["end"] == said[1]["start"] + 15.0
    with Client(server.address) as client:
        for row in said:
            piece = call[round(row["start"] * 16_000) : round(row["end"] * 16_000)]
            alone = client.recognize(piece, sample_rate=16_000, frames=True)
            assert alone.emotion is not None
            for one in alone.emotion.scores:
                assert row[f"score_{one.label}"] == pytest.approx(one.probability, abs=1e-3)
            peaks = {one.label: one.peak for one in read(alone).labels}
            assert row["peak_angry"] == pytest.approx(peaks["angry"], abs=1e-3)
    assert (silence["utterance"], silence["label"], silence["mostly_silent"]) == (None, None, True)
    assert silence["error"] is None
    assert [warning["code"] for warning in silence["warnings"]] == ["TRUNCATED"]
    # It goes on where it was.
    again = score(calls, "--per", "utterance", "--server", server.address, "--output", table)
    assert rows(table) == [*said, silence]
    assert "2 done already" in again.stderr
    written = tmp_path / "report.html"
    command = [*COMMAND[:-1], "report", str(table), "--output", str(written)]
    subprocess.run(command, check=True, capture_output=True)
    assert "utterance" in written.read_text(encoding="utf-8")
