"""A container's quota counts, not only the machine's cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from emotion2vec_server.process.cores import Share, available_cores, share_cores
from hypothesis import given
from hypothesis import strategies as st

MACHINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000", MACHINE),
        ("100000 100000", 1),
        ("20000 100000", 1),
        (f"{MACHINE * 100000 + 400000} 100000", MACHINE),
        ("nonsense", MACHINE),
    ],
)
def test_quota(tmp_path: Path, text: str, cores: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert available_cores(file) == cores


def test_no_quota_file(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "cpu.max") == MACHINE


@pytest.mark.parametrize(
    ("cores", "wished", "share"),
    [
        (1, {}, Share(1, 1)),
        (2, {}, Share(1, 2)),
        (12, {}, Share(1, 12)),
        (16, {}, Share(2, 8)),
        (64, {}, Share(8, 8)),
        (16, {"instances": 4}, Share(4, 4)),
        (16, {"threads": 4}, Share(4, 4)),
        (2, {"threads": 8}, Share(1, 8)),
        (2, {"instances": 5}, Share(5, 1)),
        (16, {"instances": 1, "threads": 3}, Share(1, 3)),
    ],
)
def test_shares(cores: int, wished: dict[str, int], share: Share) -> None:
    assert share_cores(cores, **wished) == share


@given(st.integers(1, 256), st.integers(0, 16), st.integers(0, 16))
def test_callers_and_pool_are_as_many_as_the_threads(
    cores: int, instances: int, threads: int
) -> None:
    share = share_cores(cores, instances=instances, threads=threads)
    # Each batch's caller computes too, so that a pool of n has n - 1 threads of its own.
    assert share.instances + share.pool - 1 == share.instances * share.threads
    if not instances and not threads:
        assert share.instances * share.threads <= cores
