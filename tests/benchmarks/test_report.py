"""The report says what was measured, in tables that Markdown renders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import archives, doors, fidelity, machine, report
from benchmarks.archives import Archives
from benchmarks.arrivals import Percentiles
from benchmarks.ceiling import Ceiling
from benchmarks.cell import Cell
from benchmarks.comparison import OURS, Comparison, Turn
from benchmarks.doors import Doors
from benchmarks.fidelity import BundleFidelity, Fidelity
from benchmarks.floor import Floor
from benchmarks.latency import REFERENCE, Call, Cost, Latency, Start
from benchmarks.load import Load, Loop, Overload
from benchmarks.loadgen import Outcome
from benchmarks.markdown import table
from benchmarks.report import Results, Run
from benchmarks.speech import Mix

CELL = Cell(
    requests=100,
    rate=50.0,
    audio_rate=250.0,
    latency=Percentiles(0.010, 0.020, 0.030, 0.050),
    server_cpu=1.5,
    client_cpu=0.2,
    errors={},
    batch=3.0,
    padding=0.125,
    queue=0.004,
    inference=0.006,
    busy=0.875,
)


def turn(server: str, audio_rate: float, index: int, **changes: object) -> Turn:
    cell = replace(CELL, audio_rate=audio_rate, **changes)  # type: ignore[arg-type]
    return Turn("light", server, 64, index, cell)


COMPARISON = Comparison(
    Mix(),
    [
        turn(OURS, 300, 0),
        turn("triton", 200, 0),
        turn(f"{OURS} mp3", 250, 0),
        turn(OURS, 500, 1),
        turn("triton", 100, 1, errors={"UNAVAILABLE": 2}),
        turn(OURS, 400, 2),
        turn("triton", 200, 2, errors={"UNAVAILABLE": 1, "timeout": 4}),
    ],
    {"light": Ceiling({1: 500.0, 8: 800.0, 64: 600.0})},
    {"triton": "nvidia-pytriton 0.7.0"},
    {"mosec": "could not be installed"},
)
LOAD = Load(
    Mix(),
    [
        Loop("demo", "mp3", 1, 0.0, 0.0, CELL),
        Loop("demo", "raw", 0, 0.5, 25.0, replace(CELL, padding=None)),
    ],
    {"demo": 200 * 2**20},
    [
        Overload(
            model="demo",
            offered=240.0,
            answered=75.5,
            deadline=1.0,
            latency=Percentiles(0.5, 0.8, 0.9, 1.25),
            refused=Percentiles(0.002, 0.01, 0.02, 0.05),
            errors={"RESOURCE_EXHAUSTED": 500},
            resident_bytes=(200 * 2**20, 201 * 2**20),
        )
    ],
)


def latency() -> Latency:
    seconds = {REFERENCE: 4.0, "bundle fp32": 2.0, "server": 2.5}
    calls = [
        Call(name, length, "utterance", Cost(length * each, 2 * length * each, 2**30, [0.25, 0.75]))
        for length in (1.0, 10.0)
        for name, each in seconds.items()
    ]
    starts = {name: Start(5.0, 6.0, 2**30) for name in seconds}
    return Latency(2, calls, starts, Floor(499, 200.0, 800.0))


DOORS = Doors(
    Mix(),
    [
        doors.Turn("light", "raw", 8, door, replace(CELL, server_cpu=cpu))
        for door, cpus in (("gRPC", (1.5, 1.5)), ("HTTP", (1.5, 3.0)))
        for cpu in cpus
    ],
)
ARCHIVES = Archives(
    archives.Plan(recordings=10, rounds=2),
    40.0,
    [
        archives.Turn(name, seconds, 2 * seconds)
        for seconds_of in ((8.0, 4.0, 2.0), (6.0, 4.0, 2.0))
        for name, seconds in zip(
            (archives.FUNASR, f"{archives.LOOP}, int8", f"{archives.SCORE}, int8"),
            seconds_of,
            strict=True,
        )
    ],
)
FIDELITY = BundleFidelity(
    "demo 1a2b",
    ["angry", "sad"],
    3,
    {"int8": Fidelity(0.01, 0.005, 0.02, 0.9999, 2, 2)},
    {"fp32": [[1, 0], [1, 1]]},
)


def test_the_floor_is_a_share_of_what_was_measured() -> None:
    least = Floor(499, 200.0, 800.0).seconds("fp32", 499)
    text = report.latency_section(latency(), "latency.png")
    assert f"| 10 s | {least:.2f} ({least / 20:.0%}) |" in text


def test_int8_makes_the_blocks_matrices_alone_faster() -> None:
    def ratio(frames: int) -> float:
        floor = Floor(499, 200.0, 800.0)
        return floor.seconds("int8", frames) / floor.seconds("fp32", frames)

    # Four times as fast, but for the front end, positions and attention, which grows with length.
    assert 0.25 < ratio(50) < ratio(1500) < 0.6


def test_fidelity_shows_labels_and_confusion() -> None:
    text = fidelity.section([FIDELITY])
    assert "| demo 1a2b | int8 | 0.0100 | 0.0050 | 0.0200 | 0.999900 | 2 of 2 |" in text
    assert "demo 1a2b in fp32: 2 of 3 right" in text
    assert "| sad | 1 | 1 |" in text


def test_tables_align_numbers() -> None:
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_ratios_are_of_the_same_round() -> None:
    assert COMPARISON.ratios("light", "triton", 64) == pytest.approx([1.5, 5.0, 2.0])
    assert COMPARISON.ratios("light", "mosec", 64) == []


def test_the_ceiling_is_its_best_batch() -> None:
    best = COMPARISON.ceilings["light"]
    assert (best.batch, best.rate) == (8, 800.0)


def test_speedups_are_geometric_means_over_lengths() -> None:
    assert latency().speedups("bundle fp32") == pytest.approx([2.0])
    assert latency().speedups("server") == pytest.approx([1.6])
    assert latency().difference("server") == 0


def test_peers_say_who_failed_how() -> None:
    text = report.peers_section(COMPARISON, "peers.png")
    assert "**emotion2vec-server**, 64 | 400 | 50.0 | 50% |  |" in text
    assert "| triton, 64 | 200 | 50.0 | 25% | 2.00x (1.50 to 5.00) |" in text
    assert "**emotion2vec-server mp3**, 64 | 250 | 50.0 | 31% | 1.20x (1.20 to 1.20) |" in text
    assert "UNAVAILABLE: 3, timeout: 4" in text
    assert "Left out: mosec could not be installed." in text


def test_load_shows_padding_only_where_known() -> None:
    lines = report.load_section(LOAD, "load.png").splitlines()
    assert any(
        "| 12.5% | 88% |" in line and line.startswith("| demo | mp3 | 1 |") for line in lines
    )
    assert any(line.startswith("| demo | raw | open, 50%: 25/s |") for line in lines)


def test_an_overload_shows_how_soon_callers_were_refused() -> None:
    row = report.load_section(LOAD, "load.png").splitlines()[-1]
    assert row.startswith("| demo | 240 | 76 | 1 | 500.0 | 900.0 | 1,250.0 | 2.0 | 20.0 | 50.0 |")
    assert row.endswith("| RESOURCE_EXHAUSTED: 500 | 200 | 201 |")


def test_doors_are_compared_by_round() -> None:
    row = report.doors_section(DOORS).splitlines()[-1]
    assert row.startswith(
        "| light | raw | 8 | 1.50 | 2.25 | 1.50x (1.00 to 2.00) | 50.0 | 50.0 | 0"
    )


def test_the_gain_of_archives_is_split() -> None:
    text = report.archives_section(ARCHIVES)
    assert "| emotion2vec score, int8 | 2.0 | 20.0 | 0.400 | 3.50x (3.00 to 4.00) |" in text
    assert "one recording at a time, 1.75x (1.50 to 2.00); decoding and reading" in text
    assert "and batches, 2.00x (2.00 to 2.00)." in text


def test_every_row_has_the_columns_of_its_header() -> None:
    sections = (
        report.latency_section(latency(), "latency.png"),
        report.peers_section(COMPARISON, "peers.png"),
        report.load_section(LOAD, "load.png"),
        report.doors_section(DOORS),
        report.archives_section(ARCHIVES),
        fidelity.section([FIDELITY]),
    )
    for section in sections:
        for block in section.split("\n\n"):
            if block.startswith("|"):
                assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_the_whole_is_written(tmp_path: Path) -> None:
    here = machine.describe()
    results = Results({"load": Run(here, True, 3)}, LOAD, COMPARISON, latency(), [FIDELITY])
    page = report.write(results, tmp_path).read_text(encoding="utf-8")
    for name in ("load.png", "peers.png", "latency.png"):
        assert f"]({name})" in page
        assert (tmp_path / name).stat().st_size > 10_000
    assert here.date in page
    assert here.summary in page
    assert "| load | short | 3 |" in page
    raw = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert raw["fidelity"][0]["rounded"]["int8"]["kept"] == 2
    assert raw["peers"]["turns"][0]["cell"]["latency"]["p50"] == 0.010


def test_sections_that_did_not_run_are_left_out(tmp_path: Path) -> None:
    page = report.write(Results({}), tmp_path).read_text(encoding="utf-8")
    assert "## " not in page


def test_a_cell_counts_each_request() -> None:
    outcome = Outcome(
        seconds=2.0,
        latencies=[0.1, 0.2, 0.3, 0.4],
        audio_seconds=20.0,
        batch_sizes=[1, 3, 3, 3],
        server_cpu_seconds=0.4,
        metrics={
            'emotion2vec_padding_ratio_sum{model="a"}': 0.6,
            'emotion2vec_padding_ratio_count{model="a"}': 3.0,
            'emotion2vec_inference_seconds_sum{model="a"}': 3.0,
            'emotion2vec_inference_seconds_count{model="a"}': 3.0,
        },
    )
    cell = Cell.of(outcome)
    assert (cell.rate, cell.audio_rate) == (2.0, 10.0)
    assert cell.server_cpu == pytest.approx(100.0)
    assert cell.batch == pytest.approx(2.0)
    assert cell.padding == pytest.approx(0.2)
    assert cell.busy == pytest.approx(1.5)


def test_a_cell_without_answers_divides_by_nothing() -> None:
    cell = Cell.of(Outcome(seconds=2.0, errors={"UNAVAILABLE": 9}))
    assert (cell.rate, cell.server_cpu) == (0.0, 0.0)
    assert (cell.padding, cell.busy) == (None, None)
