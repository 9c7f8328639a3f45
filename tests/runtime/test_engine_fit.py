"""Which engine fits which machine, and which batch fits which engine."""

from __future__ import annotations

import re

import pytest
from emotion2vec_runtime.backends.tensorrt.engine_fit import (
    Machine,
    choose_profile,
    misfit,
    most_rows,
    round_up,
)
from emotion2vec_runtime.bundle import Engine, Profile
from hypothesis import given
from hypothesis import strategies as st

SECOND = 16000


def profile(rows: int, seconds: float) -> Profile:
    corner = (rows, round(seconds * SECOND))
    return Profile(minimum=(1, 400), optimum=corner, maximum=corner)


PROFILES = (profile(64, 3.75), profile(64, 7.5), profile(32, 15), profile(16, 30))
ENGINE = Engine(
    library="tensorrt",
    version="11.4.0",
    compute_capabilities=("9.0",),
    profiles=PROFILES,
    onnx_sha256="a" * 64,
)
HERE = Machine({"tensorrt": "11.4.0"}, ["9.0"])


@pytest.mark.parametrize(
    ("machine", "graph", "seconds", "reason"),
    [
        (HERE, "a", 30, None),
        (Machine({}, ["9.0"]), "a", 30, "tensorrt is not installed"),
        (Machine({"tensorrt_rtx": "1.7"}, ["9.0"]), "a", 30, "tensorrt is not installed"),
        (Machine({"tensorrt": "10.9.0"}, ["9.0"]), "a", 30, "built by tensorrt 11.4.0, and 10.9.0"),
        (Machine({"tensorrt": "11.4.0"}, []), "a", 30, "CUDA finds no card"),
        (Machine({"tensorrt": "11.4.0"}, ["8.9"]), "a", 30, "capability 9.0, and here is .* 8.9"),
        (Machine({"tensorrt": "11.4.0"}, ["9.0", "8.9"]), "a", 30, "here is a card of 8.9"),
        (HERE, "b", 30, "built from another graph"),
        (HERE, "a", 31, "takes 30 s at most, and longer windows are asked for"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    machine: Machine, graph: str, seconds: float, reason: str | None
) -> None:
    said = misfit(ENGINE, machine, graphs=[graph * 64], longest=seconds * SECOND)
    if reason is None:
        assert said is None
    else:
        assert re.search(reason, str(said))


@pytest.mark.parametrize(
    ("rows", "seconds", "chosen"),
    [(1, 0.025, 0), (64, 3.75, 0), (1, 3.8, 1), (20, 12, 2), (16, 30, 3), (17, 30, None)],
)
def test_the_tightest_profile_is_chosen(rows: int, seconds: float, chosen: int | None) -> None:
    assert choose_profile(PROFILES, rows, round(seconds * SECOND)) == chosen


@given(st.integers(1, 64), st.integers(400, 30 * SECOND))
def test_whatever_the_server_batches_fits_a_profile(rows: int, samples: int) -> None:
    """240 s of padded audio, 64 rows at most."""
    padded = round_up(samples, PROFILES)
    assert samples <= padded < samples + 4000 or padded == 4000
    fits = choose_profile(PROFILES, rows, padded) is not None
    assert fits == (rows <= most_rows(PROFILES, samples))
    if rows * samples <= 240 * SECOND:
        assert fits


def test_no_profile_takes_what_is_longer_than_all() -> None:
    assert most_rows(PROFILES, 30 * SECOND + 1) == 0
    assert round_up(30 * SECOND + 1, PROFILES) == 30 * SECOND + 1
