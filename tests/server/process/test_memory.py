"""What a server says of the memory that it will need."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from subprocess import run

import pytest
from emotion2vec_server.process import memory
from emotion2vec_server.process.memory import ModelMemory, available_memory, batch_bytes, say
from emotion2vec_server.process.settings import Settings

GB = 10**9
MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import load_bundle
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE
from emotion2vec_runtime.recognition.runner import Clip, Runner

def status(key):
    found = re.search(rf"{key}:\\s+(\\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024

runner = Runner(load_backend(load_bundle(DEMO_BUNDLE), provider="cpu", threads=2))
noise = np.random.default_rng(0).normal(size=30 * 16000).astype(np.float32) / 20
for clips in ([noise[:16000]], [noise] * int(sys.argv[1])):
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    runner([Clip(clip, frame_embeddings=False) for clip in clips])
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
@pytest.mark.parametrize("clips", [1, 8])
def test_a_batch_takes_what_is_said_and_not_much_less(clips: int) -> None:
    done = run([sys.executable, "-c", MEASURE, str(clips)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = batch_bytes(128, clips * 1499, 1499, "host")
    assert 0.5 * said < int(done.stdout) < 1.1 * said


def warnings(
    caplog: pytest.LogCaptureFixture, settings: Settings, available: int | None
) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO, memory.__name__):
        say([ModelMemory("large", GB // 2, GB, "host")], settings, available)
    assert caplog.records[0].machine_mb == (available and available / 1e6)
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_what_can_not_fit_is_said_with_the_way_out(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(max_upload_bytes=GB, max_stream_bytes=GB)
    assert warnings(caplog, settings, 8 * GB) == []
    assert warnings(caplog, settings, None) == []
    (callers,) = warnings(caplog, settings, 3 * GB)
    assert "lower --max-upload-bytes or --max-stream-bytes" in callers
    (models,) = warnings(caplog, settings, GB)
    assert "may need 1.7 GB of the 1.0 GB" in models
    assert "serve int8" in models


def test_a_card_s_memory_is_not_the_machine_s(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(max_upload_bytes=GB, max_stream_bytes=GB)
    with caplog.at_level(logging.INFO, memory.__name__):
        say([ModelMemory("large", 40 * GB, GB, "device")], settings, 4 * GB)
    (record,) = caplog.records
    assert record.large_on_a_card_mb == 41_000
    assert record.models_mb == 0


def test_a_container_s_limit_counts(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1000000\n", encoding="ascii")
    assert available_memory([tmp_path / "none", limit]) == 1_000_000
    limit.write_text("max\n", encoding="ascii")
    assert (available_memory([limit]) or 0) > 1_000_000
