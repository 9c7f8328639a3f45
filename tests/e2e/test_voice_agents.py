"""The examples of clients/pipecat and clients/livekit: whole pipelines in front of the real server.

Their frameworks need environments of their own (pipecat-ai holds protobuf below 7; together about
1 GB), so the tests run where VOICE_AGENT_ENVIRONMENTS names a folder for them. It is kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emotion2vec_client import Client

ROOT = Path(__file__).parents[2]
FOLDER = os.environ.get("VOICE_AGENT_ENVIRONMENTS")
FRAMEWORKS = ["pipecat", "livekit"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="VOICE_AGENT_ENVIRONMENTS names no folder"),
]


def interpreter(framework: str) -> str:
    """A Python with the framework and our packages, as they are now."""
    environment = Path(str(FOLDER)) / framework
    python = str(environment / "bin" / "python")
    if not environment.exists():
        venv.create(environment, with_pip=False)
    ours = ["./protos", "./clients/python", f"./clients/{framework}"]
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-input"]
    subprocess.run([*command, *ours], cwd=ROOT, check=True)
    return python


@pytest.fixture(scope="module", params=FRAMEWORKS)
def example(request: Any) -> list[str]:
    framework = request.param
    return [interpreter(framework), str(ROOT / "clients" / framework / "example.py")]


def recording(client: Client, name: str, folder: Path) -> tuple[str, str]:
    """An example as WAV, and its label."""
    result = client.recognize(ROOT / "examples" / f"{name}.flac", processed_audio=True)
    assert result.processed_audio is not None
    assert result.emotion is not None
    path = folder / f"{name}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.asarray(result.processed_audio, "<i2").tobytes())
    return str(path), result.emotion.label


def run(example: list[str], path: str, server: str) -> str:
    command = [*example, path, "--server", server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_llm_is_told_how_the_user_sounded(
    example: list[str], demo_server: Any, tmp_path: Path
) -> None:
    with Client(demo_server.address) as client:
        for name in ("angry", "sad"):
            path, label = recording(client, name, tmp_path)
            told = run(example, path, demo_server.address)
            assert f"sounded {label}" in told
            assert "I have waited." in told


def test_words_go_on_when_the_server_is_away(
    example: list[str], demo_server: Any, tmp_path: Path
) -> None:
    with Client(demo_server.address) as client:
        path, _ = recording(client, "angry", tmp_path)
    told = run(example, path, "127.0.0.1:1")
    assert "I have waited." in told
    assert "sounded" not in told
