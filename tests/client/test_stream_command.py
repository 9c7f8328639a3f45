"""`emotion2vec stream`: its sources and its views."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import time
import types
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, service_pb2
from emotion2vec_client.__main__ import main
from emotion2vec_client.command.live import History, LiveView, scale
from emotion2vec_client.command.sources import LiveChunks, PacedChunks
from emotion2vec_client.results import Frames
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

COMMAND = (sys.executable, "-m", "emotion2vec_client", "stream")


@pytest.fixture
def run(server: Any, capsys: Any) -> Any:
    def call(*arguments: Any) -> tuple[int, str, str]:
        code = main(["stream", "--server", server.address, *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


def sent(server: Any) -> bytes:
    return b"".join(r.audio for r in server.service.requests if hasattr(r, "end_utterance"))


def wav_data(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


def config(server: Any) -> Any:
    return next(r for r in server.service.requests if hasattr(r, "interim_results"))


def test_wav_as_lines(run: Any, server: Any, wav: Path) -> None:
    code, out, err = run(wav, "--hop", "0.5", "--window", "3")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert sent(server) == wav.read_bytes()
    assert lines[0].startswith("started  fake, window 3 s, hop 0.5 s")
    assert len([line for line in lines if line.startswith("frames ")]) == 1
    assert "speech      1.50 s end" in lines
    assert "warning  DEGRADED: hop is now 1 s" in lines
    assert lines[-1] == "final       0.00 - 1.00 s  angry       70.0%"
    assert "\033" not in out


def test_json_lines(run: Any, wav: Path) -> None:
    _, out, _ = run("--json", "--interim", wav)
    events = [json.loads(line) for line in out.splitlines()]
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "final"
    assert events[-1]["scores"]["angry"] == pytest.approx(0.7)
    assert "interim" in {event["event"] for event in events}


def test_options_reach_the_server(run: Any, server: Any, wav: Path) -> None:
    asked_for = ("--no-vad", "--interim", "--lookahead", "0.7", "--final", "streamed")
    run(wav, *asked_for, "--model", "m", "--labels", "sad,happy")
    asked = config(server)
    assert asked.interim_results
    assert asked.voice_activity_detection == 1
    assert asked.lookahead.nanos == 700_000_000
    assert asked.final == service_pb2.FINAL_MODE_STREAMED
    assert asked.config.model == "m"
    assert list(asked.config.allowed_labels) == ["sad", "happy"]


def test_alerts_are_asked_for_and_shown(run: Any, server: Any, wav: Path) -> None:
    alert = service_pb2.AlertEvent(label="sad", probability=0.7, end_offset={"seconds": 3})
    server.service.alerts = (alert,)
    _, out, _ = run(wav, "--alert-labels", "sad,angry", "--alert-seconds", "3")
    assert list(config(server).alerts.labels) == ["sad", "angry"]
    assert config(server).alerts.duration.seconds == 3
    assert "alert       0.00 - 3.00 s  sad" in out


def test_a_file_is_sent_as_it_is(run: Any, server: Any, tmp_path: Path) -> None:
    path = tmp_path / "speech.flac"
    path.write_bytes(np.random.default_rng(0).bytes(200_000))
    assert run(path)[0] == 0
    assert sent(server) == path.read_bytes()
    assert config(server).audio_config == audio_pb2.AudioConfig()


def test_file_of_raw_samples(run: Any, server: Any, tmp_path: Path) -> None:
    path = tmp_path / "speech.raw"
    path.write_bytes(bytes(range(256)) * 8)
    run(path, "--encoding", "mulaw", "--rate", "8000")
    assert sent(server) == path.read_bytes()
    assert config(server).audio_config.sample_rate_hertz == 8000


def test_realtime_keeps_the_pace(monkeypatch: Any) -> None:
    now = 0.0
    handed: list[float] = []

    def wait(_event: Any, seconds: float) -> bool:
        nonlocal now
        now += seconds
        return False

    monkeypatch.setattr("threading.Event.wait", wait)
    monkeypatch.setattr("time.monotonic", lambda: now)
    for _ in PacedChunks([bytes(3200)] * 10, bytes_per_second=32_000):
        handed.append(now)
        now += 0.03  # taken by the receiver, and made up for
    assert handed == pytest.approx([0.1 * (index + 1) for index in range(10)])


def test_failures_name_the_source(
    run: Any, server: Any, make_failure: Any, wav: Path, tmp_path: Path
) -> None:
    code, _, err = run(tmp_path / "no.wav")
    assert (code, err) == (1, f"emotion2vec: {tmp_path / 'no.wav'}: No such file or directory\n")
    server.service.failures.append(make_failure(grpc.StatusCode.NOT_FOUND, "no such model"))
    code, _, err = run(wav)
    assert (code, err) == (1, f"emotion2vec: {wav}: no such model\n")
    assert run("-", "--realtime")[0] == 2
    code, _, err = run(wav, "--rate", "8000")
    assert code == 2
    assert "give their --encoding too" in err


def test_a_source_without_samples_is_a_failure(server: Any) -> None:
    """So that a recorder which died at once does not look like success."""
    done = subprocess.run(
        [*COMMAND, "-", "--server", server.address], input=b"", capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, b"emotion2vec: -: no samples came\n")


def test_standard_input(server: Any) -> None:
    data = np.random.default_rng(1).bytes(100_001)
    done = subprocess.run(
        [*COMMAND, "-", "--server", server.address, "--json"],
        input=data,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert sent(server) == data
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "final"


@pytest.mark.parametrize("source", ["live", "realtime"])
def test_interrupt_still_gives_the_final_result(server: Any, tmp_path: Path, source: str) -> None:
    """Of what has its own speed: its listener has heard enough."""
    path = tmp_path / "hour.raw"
    path.write_bytes(bytes(32000 * 600))
    arguments = {"live": ["-"], "realtime": [path, "--encoding", "linear16", "--realtime"]}[source]
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--server", server.address, "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if source == "live":
        process.stdin.write(bytes(6400))
        process.stdin.flush()
    while b'"frames"' not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    assert b'"event": "final"' in out


def test_interrupt_of_a_file_ends_at_once(server: Any, wav: Path) -> None:
    server.service.gate = threading.Event()
    process = subprocess.Popen(
        [*COMMAND, wav, "--server", server.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert server.service.entered.acquire(timeout=30)
    # By then it waits for an event: an older gRPC may be left locked by an interrupt before that.
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"emotion2vec: interrupted\n")


# Microphone: sounddevice needs a sound card, so a module of the same shape stands in for it.


class PortAudioError(Exception):
    pass


class FakeInput:
    """Hands over three chunks, then is interrupted as by Ctrl-C."""

    def __init__(self, callback: Any, **options: Any) -> None:
        self.callback = callback
        self.options = options

    def __enter__(self) -> FakeInput:
        for number in range(3):
            self.callback(memoryview(bytes([number]) * 960), 480, None, None)
        signal.raise_signal(signal.SIGINT) if self.options.get("interrupt") else None
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def sound(monkeypatch: Any) -> Any:
    module = types.ModuleType("sounddevice")
    module.PortAudioError = PortAudioError  # type: ignore[attr-defined]
    module.query_devices = lambda kind: {"default_samplerate": 48000.0}  # type: ignore[attr-defined]
    module.RawInputStream = FakeInput  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.delitem(sys.modules, "emotion2vec_client.command.microphone", raising=False)
    return module


def test_microphone(run: Any, server: Any, sound: Any, monkeypatch: Any) -> None:
    stopping = LiveChunks.__iter__

    def until_empty(self: Any) -> Any:
        self.put(None)
        return stopping(self)

    monkeypatch.setattr(LiveChunks, "__iter__", until_empty)
    code, out, _ = run("--microphone")
    assert code == 0
    assert sent(server) == bytes(960) + b"\1" * 960 + b"\2" * 960
    assert config(server).audio_config.sample_rate_hertz == 48000
    assert "final" in out


def test_no_microphone(run: Any, sound: Any) -> None:
    def nothing(kind: str) -> Any:
        raise PortAudioError("no input device")

    sound.query_devices = nothing
    code, _, err = run("--microphone")
    assert code == 1
    assert "no microphone can be opened (no input device)" in err


def test_microphone_without_its_extra(run: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = run("--microphone")
    assert code == 2
    assert "pip install 'emotion2vec-client[microphone]'" in err


def test_live_chunks_end_when_stopped_and_pass_failures_on() -> None:
    chunks = LiveChunks()
    chunks.put(b"one")
    iterator = iter(chunks)
    assert next(iterator) == b"one"
    chunks.stop()
    assert list(iterator) == []
    failing = LiveChunks()
    failing.put(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        next(iter(failing))


def test_live_chunks_are_bounded() -> None:
    chunks = LiveChunks()
    for _ in range(10_000):
        chunks.offer(b"x")
    with pytest.raises(OSError, match="can't keep up"):
        list(chunks)


# The live view


def frames(count: int, leader: int, start: float, *, is_final: bool = True) -> Frames:
    probabilities = np.full((count, 3), 0.1, np.float32)
    probabilities[:, leader] = 0.8
    return Frames(("angry", "happy", "sad"), probabilities, 0, start, 0.02, is_final)


def test_live_view_shows_bars_strip_and_finals(client: Any, wav: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="truecolor")
    chunks = [wav_data(wav)]
    with LiveView("speech.wav", console) as view:
        for event in client.stream(chunks, sample_rate=16000):
            view.show(event)
        picture = Console(file=io.StringIO(), width=80)
        picture.print(view.picture())
    text = picture.file.getvalue()
    assert "speech.wav" in text
    assert "surprised" in text
    assert "DEGRADED" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "angry 70%" in console.file.getvalue()


@given(begin=st.floats(0, 5000), columns=st.integers(10, 300))
def test_the_scale_has_every_tick_in_its_place(begin: float, columns: int) -> None:
    line = scale(begin, columns)
    ticks = [column for column, character in enumerate(line) if character == "╵"]
    assert len(line) == columns
    assert len(ticks) in (4, 5)
    assert all(abs(later - earlier - columns / 4) <= 1 + 1e-6 for earlier, later in pairwise(ticks))
    assert ticks[0] < columns / 4 + 1


def test_ticks_bear_their_time_where_there_is_room() -> None:
    assert scale(0.0, 40) == "╵0:00     ╵0:05     ╵0:10     ╵0:15     "
    assert scale(62.5, 40).split() == ["╵1:05", "╵1:10", "╵1:15", "╵1:20"]
    assert scale(0.0, 12).split() == ["╵"] * 4


def test_live_view_before_any_event() -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(LiveView("[bold]name", console).picture())
    assert "[bold]name" in console.file.getvalue()


def test_live_view_is_taken_on_a_terminal_only(
    server: Any, wav: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "rich", None)
    assert main(["stream", "--server", server.address, str(wav)]) == 0
    out, err = capsys.readouterr()
    assert "pip install 'emotion2vec-client[live]'" in err
    assert "final" in out


def test_history_replaces_early_frames_and_forgets_old_ones() -> None:
    history = History()
    history.add(frames(50, 0, 0.0))
    history.add(frames(25, 1, 1.0, is_final=False))
    assert history.end == pytest.approx(1.5)
    history.add(frames(50, 2, 1.0))
    assert history.end == pytest.approx(2.0)
    assert history.now() == pytest.approx([0.1, 0.1, 0.8])
    past = history.between(0.0, 1.0)
    assert past is not None
    assert int(past.argmax()) == 0
    for second in range(2, 100):
        history.add(frames(50, 0, float(second)))
    assert history.between(0.0, 70.0) is None
    assert history.between(85.0, 99.0) is not None
