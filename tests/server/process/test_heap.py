from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Page faults of taking and freeing what 64 requests take, many times.
SCRIPT = """
import resource
from emotion2vec_server.process.heap import keep_freed_memory
{prepare}
def burst():
    return len([bytes(160_000 + n) for n in range(64)])
burst(), burst()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    burst()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(prepare: str) -> int:
    command = [sys.executable, "-c", SCRIPT.format(prepare=prepare)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heap is not glibc's")
def test_freed_memory_is_reused() -> None:
    assert faults("keep_freed_memory()") < faults("") / 10
