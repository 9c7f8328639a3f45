"""What the report says of the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import machine


@pytest.mark.parametrize(
    ("instructions", "said"),
    [
        (("AVX2",), "AVX2, no VNNI"),
        (("AVX2", "AVX-512"), "AVX2, AVX-512, no VNNI"),
        (("AVX2", "AVX-VNNI"), "AVX2, AVX-VNNI"),
        (("AVX2", "AVX-512", "AVX-512 VNNI"), "AVX2, AVX-512, AVX-512 VNNI"),
        ((), "no VNNI"),
    ],
)
def test_instructions_that_are_missing_are_named(instructions: tuple[str, ...], said: str) -> None:
    assert replace(machine.describe(), instructions=instructions).instruction_set == said


def test_instructions_bear_the_names_that_the_world_knows() -> None:
    known = {"AVX2", "AVX-512", "AVX-VNNI", "AVX-512 VNNI", "AMX int8"}
    assert set(machine.describe().instructions) <= known
