"""A container's quota counts, not only the machine's cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from emotion2vec_server.cores import available_cores

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
