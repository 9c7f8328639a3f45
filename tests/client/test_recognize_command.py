"""`emotion2vec recognize`, `models` and `health`, against the small server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, recognition_pb2
from emotion2vec_client.__main__ import main
from emotion2vec_client.command.inputs import LeftOut, Missing, expand
from grpc_health.v1 import health_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

COMMAND = (sys.executable, "-m", "emotion2vec_client")


@pytest.fixture
def run(server: Any, capsys: Any) -> Any:
    """Runs the command; gives its exit code, standard output and standard error."""

    def call(command: str, *arguments: Any) -> tuple[int, str, str]:
        code = main([command, "--server", server.address, *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def folder(tmp_path: Path, wav: Path) -> Path:
    """calls/a.wav, calls/b/a.wav, calls/b/c.MP3 and what is no audio."""
    root = tmp_path / "calls"
    (root / "b").mkdir(parents=True)
    for name in ("a.wav", "b/a.wav", "b/c.MP3"):
        shutil.copy(wav, root / name)
    (root / "notes.txt").write_text("no audio")
    (root / ".hidden.wav").write_bytes(b"")
    return root


def test_one_file_as_bars(run: Any, wav: Path) -> None:
    code, out, err = run("recognize", wav)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"{wav}  1.0 s, fake fp32"
    assert re.fullmatch(r"  angry +█{21} +70\.0%  生气", lines[1])
    assert re.match(r"  happy +███ +10\.0%", lines[2])
    assert len(lines) == 10
    assert "\033" not in out


def test_a_long_file_says_on_a_terminal_how_far_it_is(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / "long.wav"
    long.write_bytes(bytes(2**21))
    quiet = run("recognize", long)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "500")
    code, out, err = run("recognize", long)
    assert quiet == (code, out, "")
    # Gone before the result is shown.
    assert err == f"\r\033[K{long}  1:05 heard\r\033[K"


def test_several_files_as_a_table_in_order(run: Any, folder: Path) -> None:
    code, out, err = run("recognize", folder / "b" / "c.MP3", folder)
    names = [line.split()[0] for line in out.splitlines()]
    assert (code, err) == (1, "emotion2vec: 1 file was left out: 1 .txt\n")
    assert names == [str(folder / name) for name in ("b/c.MP3", "a.wav", "b/a.wav")]
    assert all("angry" in line and "happy 10.0%" in line for line in out.splitlines())


def test_order_holds_while_several_are_in_flight(run: Any, server: Any, tmp_path: Path) -> None:
    files = []
    for number in range(20):
        files.append(tmp_path / f"{number:02}.wav")
        files[-1].write_bytes(bytes([number]) * 100)
    server.service.gate = threading.Event()

    def release() -> None:
        for _ in range(4):
            assert server.service.entered.acquire(timeout=10)
        server.service.gate.set()

    releaser = threading.Thread(target=release)
    releaser.start()
    code, out, _ = run("recognize", "--jobs", 4, "--json", *files)
    releaser.join()
    assert code == 0
    assert [json.loads(line)["filename"] for line in out.splitlines()] == list(map(str, files))


def test_json_is_one_line_for_each_input(run: Any, wav: Path, tmp_path: Path) -> None:
    code, out, err = run("recognize", "--json", wav, tmp_path / "no.wav", "--labels", "angry,sad")
    good, missing = map(json.loads, out.splitlines())
    assert code == 1
    assert missing["error"]["code"] == "NOT_FOUND"
    assert "no.wav" in err
    assert good["emotion"] == "angry"
    assert list(good["scores"]) == ["angry", "sad"]
    assert sum(good["scores"].values()) == pytest.approx(1)
    assert good["granularity"] == "utterance"
    assert good["metadata"]["model"] == "fake"
    assert "embedding" not in good
    assert "frames" not in good


def test_json_with_frames_and_embedding(run: Any, wav: Path) -> None:
    _, out, _ = run("recognize", "--json", "--frames", "--embedding", "--model", "other", wav)
    result = json.loads(out)
    assert result["granularity"] == "frame"
    assert len(result["frames"]["probabilities"]) == 49
    assert result["embedding"] == list(range(8))
    assert result["metadata"]["model"] == "other"
    assert result["readings"]["stability"]["seconds"] == pytest.approx(0.98)


def test_frame_embeddings_need_no_frame_scores(
    run: Any, server: Any, wav: Path, tmp_path: Path
) -> None:
    """So that they can be had of a model without a classifier."""
    server.service.has_classifier = False
    _, out, _ = run("recognize", "--json", "--frame-embeddings", wav)
    result = json.loads(out)
    assert (result["emotion"], result["granularity"]) == (None, "utterance")
    assert np.array(result["frame_embeddings"]).shape == (49, 8)
    asked = server.service.requests[-1].config
    assert asked.granularity == recognition_pb2.GRANULARITY_UNSPECIFIED
    _, out, _ = run("recognize", "--frame-embeddings", "--output-dir", tmp_path / "out", wav)
    assert "49 frame embeddings of 8 values" in out
    (saved,) = (tmp_path / "out").rglob("frame_embeddings.npy")
    assert np.load(saved).shape == (49, 8)


def test_what_is_true_of_a_whole_run_is_told_once(run: Any, server: Any, folder: Path) -> None:
    downmixed = recognition_pb2.Warning(
        code=recognition_pb2.WARNING_CODE_DOWNMIXED, message="2 channels were averaged into one"
    )
    clipped = recognition_pb2.Warning(code=recognition_pb2.WARNING_CODE_CLIPPED, message="loud")
    server.service.warnings = (downmixed, clipped)
    _, out, _ = run("recognize", folder)
    assert out.splitlines()[-1] == "DOWNMIXED (3 files): 2 channels were averaged into one"
    assert (out.count("DOWNMIXED"), out.count("  CLIPPED: loud")) == (1, 3)
    _, out, _ = run("recognize", folder / "a.wav")
    assert "  DOWNMIXED: 2 channels were averaged into one" in out


def test_text_tells_frames_embedding_warnings_and_readings(
    run: Any, server: Any, wav: Path
) -> None:
    server.service.warnings = (
        recognition_pb2.Warning(code=recognition_pb2.WARNING_CODE_CLIPPED, message="too loud"),
    )
    server.service.probabilities = (0.4, 0.35, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025)
    _, out, _ = run("recognize", "--frames", "--embedding", wav)
    assert "CLIPPED: too loud" in out
    assert "mixed: angry 40% and disgusted 35%" in out
    assert "embedding of 8 values" in out
    assert re.search(r"0\.00 - \d\.\d\d s", out)


def test_output_directory(run: Any, wav: Path, tmp_path: Path) -> None:
    arguments = ("--output-dir", tmp_path / "outputs", "--processed-audio")
    code, out, _ = run("recognize", *arguments, wav)
    (directory,) = (tmp_path / "outputs").iterdir()
    assert code == 0
    assert re.fullmatch(r"outputs_\d{8}_\d{6}", directory.name)
    assert f"written to {directory}" in out
    assert {file.name for file in directory.iterdir()} == {
        "result.json",
        "processed_audio.wav",
        "embedding.npy",
    }
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    known = ["filename", "emotion", "confidence", "scores", "granularity", "timestamp"]
    assert list(result)[:6] == known
    assert np.load(directory / "embedding.npy").tolist() == list(range(8))
    with wave.open(str(directory / "processed_audio.wav")) as heard, wave.open(str(wav)) as sent:
        assert heard.getparams() == sent.getparams()
        assert heard.readframes(99999) == sent.readframes(99999)


def test_output_directory_keeps_files_of_one_name_apart(
    run: Any, folder: Path, tmp_path: Path
) -> None:
    run("recognize", "--frame-embeddings", "--output-dir", tmp_path / "out", folder)
    run("recognize", "--output-dir", tmp_path / "out", folder)
    runs = sorted((tmp_path / "out").iterdir())
    assert len(runs) == 2
    for name in ("a.wav", "b/a.wav", "b/c.MP3"):
        written = (runs[0] / name).with_suffix("")
        result = json.loads((written / "result.json").read_text())
        assert result["filename"] == str(folder / name)
    assert np.load(runs[0] / "b" / "c" / "frame_embeddings.npy").shape == (49, 8)


def test_output_directory_holds_what_was_asked_for(
    run: Any, server: Any, folder: Path, tmp_path: Path
) -> None:
    """In the tree of the files, with an index of all, and no copies of the audio."""
    run("recognize", "--frames", "--output-dir", tmp_path / "out", folder, tmp_path / "gone.wav")
    (written,) = (tmp_path / "out").iterdir()
    files = sorted(path.relative_to(written).as_posix() for path in written.rglob("*.*"))
    assert files == [
        *("a/embedding.npy", "a/result.json", "b/a/embedding.npy", "b/a/result.json"),
        *("b/c/embedding.npy", "b/c/result.json", "index.jsonl"),
    ]
    index = [json.loads(line) for line in (written / "index.jsonl").read_text().splitlines()]
    of = {entry["filename"]: entry for entry in index}
    assert of[str(folder / "b" / "c.MP3")]["folder"] == "b/c"
    assert of[str(folder / "a.wav")]["emotion"] == "angry"
    assert of[str(tmp_path / "gone.wav")]["folder"] is None
    assert of[str(tmp_path / "gone.wav")]["error"]["code"] == "NOT_FOUND"


def test_processed_audio_needs_a_place(run: Any, wav: Path) -> None:
    code, _, err = run("recognize", "--processed-audio", wav)
    assert code == 2
    assert "--output-dir" in err


def test_nothing_is_left_behind_when_all_fail(run: Any, tmp_path: Path) -> None:
    code, _, _ = run("recognize", "--output-dir", tmp_path / "out", tmp_path / "no.wav")
    assert code == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_output_directory_that_cannot_be_made(run: Any, server: Any, wav: Path) -> None:
    code, _, err = run("recognize", "--output-dir", wav, wav)
    assert code == 2
    assert "speech.wav" in err
    assert server.service.requests == []


def test_one_bad_file_does_not_stop_the_rest(
    run: Any, server: Any, make_failure: Any, folder: Path
) -> None:
    (folder / "a.wav").write_bytes(b"broken")
    server.service.failure_of[b"broken"] = make_failure(
        grpc.StatusCode.INVALID_ARGUMENT, "this is\nno audio; send WAV", field="audio"
    )
    code, out, err = run("recognize", folder)
    assert code == 1
    assert err.splitlines()[0] == f"emotion2vec: {folder / 'a.wav'}: this is no audio; send WAV"
    assert len(out.splitlines()) == 2


def test_unreadable_file(run: Any, tmp_path: Path, wav: Path) -> None:
    dangling = tmp_path / "link.wav"
    dangling.symlink_to(tmp_path / "nowhere")
    code, out, err = run("recognize", dangling, wav)
    assert code == 1
    assert err == f"emotion2vec: {dangling}: No such file or directory\n"
    assert "angry" in out


def test_without_a_server_the_rest_is_not_tried(capsys: Any, folder: Path) -> None:
    code = main(["recognize", "--server", "127.0.0.1:1", "--jobs", "1", str(folder)])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert "can't reach emotion2vec-server at 127.0.0.1:1" in err
    assert "2 more inputs were not tried" in err


def test_wrong_token_is_told_once(run: Any, server: Any, make_failure: Any, folder: Path) -> None:
    failure = make_failure(grpc.StatusCode.UNAUTHENTICATED, "no valid token")
    server.service.failures.extend([failure] * 9)
    code, _, err = run("recognize", "--token", "wrong", folder)
    assert code == 1
    assert err.count("no valid token") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["recognize"],
        ["recognize", "--jobs", "0", "x"],
        ["recognize", "--timeout", "-1", "x"],
        ["recognize", "--nonsense", "x"],
        ["stream"],
        ["stream", "x", "--microphone"],
        ["sing"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--tls-ca", "/nowhere.pem"], ["--tls-cert", "cert.pem"], ["--token", "two\nlines"]],
)
def test_wrong_connection_settings(arguments: list[str], capsys: Any, wav: Path) -> None:
    assert main(["recognize", *arguments, str(wav)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_settings_from_the_environment(
    server: Any, monkeypatch: Any, capsys: Any, wav: Path
) -> None:
    monkeypatch.setenv("EMOTION2VEC_SERVER", server.address)
    monkeypatch.setenv("EMOTION2VEC_TOKEN", "secret")
    assert main(["recognize", str(wav), "--timeout", "9"]) == 0
    assert server.service.metadata[0]["authorization"] == "Bearer secret"
    assert server.service.seconds_left[0] < 10


@pytest.mark.filterwarnings("error")
def test_plot_of_a_name_that_no_font_has(run: Any, wav: Path, tmp_path: Path) -> None:
    path = wav.rename(tmp_path / "你好 $x_1$.wav")
    assert run("recognize", "--plot", "--output-dir", tmp_path / "out", path)[::2] == (0, "")


@pytest.mark.parametrize("frames", [(), ("--frames",)])
def test_plot(run: Any, wav: Path, tmp_path: Path, monkeypatch: Any, frames: Any) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("recognize", "--plot", *frames, wav)
    picture = tmp_path / "speech.emotions.png"
    assert code == 0
    assert "speech.emotions.png" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_rerun_draws_beside_the_first_plot(
    run: Any, wav: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    run("recognize", "--plot", wav)
    first = (tmp_path / "speech.emotions.png").read_bytes()
    _, out, _ = run("recognize", "--plot", "--frames", wav)
    assert "written to speech_2.emotions.png" in out
    assert (tmp_path / "speech.emotions.png").read_bytes() == first


def test_without_a_classifier_there_is_nothing_to_plot(
    run: Any, server: Any, folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    server.service.has_classifier = False
    code, _, err = run("recognize", "--plot", folder / "a.wav", folder / "b")
    assert code == 0
    assert err == "emotion2vec: --plot: fake has no classifier and so no scores to draw\n"
    assert list(tmp_path.glob("*.png")) == []


def test_plots_of_one_name_are_kept_apart(
    run: Any, folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    run("recognize", "--plot", folder)
    names = {"a.emotions.png", "a_2.emotions.png", "c.emotions.png"}
    assert {path.name for path in tmp_path.glob("*.png")} == names


def test_plot_goes_to_the_output_directory(run: Any, wav: Path, tmp_path: Path) -> None:
    run("recognize", "--plot", "--output-dir", tmp_path / "out", wav)
    assert len(list((tmp_path / "out").glob("outputs_*/plot.png"))) == 1


def test_missing_extra_is_named_before_any_work(
    run: Any, server: Any, wav: Path, monkeypatch: Any
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = run("recognize", "--plot", wav)
    assert code == 2
    assert "pip install 'emotion2vec-client[plot]'" in err
    assert server.service.requests == []


def test_models(run: Any) -> None:
    code, out, _ = run("models")
    assert code == 0
    assert "fake  abc  fp32 on cpu, default, demo" in out
    assert "angry disgusted" in out
    _, out, _ = run("models", "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["fake", "other"]


def test_health(run: Any, server: Any, capsys: Any) -> None:
    assert run("health")[:2] == (0, f"{server.address}: SERVING\n")
    server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert run("health")[:2] == (1, f"{server.address}: NOT_SERVING\n")
    assert json.loads(run("health", "--json")[1])["status"] == "NOT_SERVING"
    assert main(["health", "--server", "127.0.0.1:1"]) == 1
    assert "can't reach" in capsys.readouterr().err


# As a process of its own


def test_interrupt_ends_it_cleanly(server: Any, wav: Path) -> None:
    server.service.gate = threading.Event()
    process = subprocess.Popen(
        [*COMMAND, "recognize", "--server", server.address, str(wav)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.service.entered.acquire(timeout=30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err) == ("", "emotion2vec: interrupted\n")


def test_what_grpc_takes_note_of_is_not_shown(server: Any) -> None:
    environment = {name: os.environ[name] for name in os.environ if name != "GRPC_VERBOSITY"}
    done = subprocess.run(
        [*COMMAND, "health", "--tls", "--server", server.address],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"emotion2vec: .* does not speak TLS.*\n", done.stderr)
    code = "import os, emotion2vec_client; print('GRPC_VERBOSITY' in os.environ)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.stdout == "False\n"


def test_server_that_dies_leaves_one_line(server: Any, wav: Path) -> None:
    server.service.gate = threading.Event()
    process = subprocess.Popen(
        [*COMMAND, "recognize", "--server", server.address, str(wav)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.service.entered.acquire(timeout=30)
    server.grpc_server.stop(None)
    server.service.gate.set()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert re.fullmatch(r"emotion2vec: .*can't reach .*\n", err)


def test_reader_that_goes_away(server: Any, wav: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "recognize", "--server", server.address, str(wav)],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_names_and_terminals_that_are_not_utf8(server: Any, wav: Path, tmp_path: Path) -> None:
    odd = os.path.join(os.fsencode(tmp_path), b"\xff\n.wav")  # noqa: PTH118
    shutil.copy(os.fsencode(wav), odd)
    done = subprocess.run(
        [*COMMAND, "recognize", "--server", server.address, odd],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"angry      #####" in done.stdout
    assert len(done.stdout.splitlines()) == 10
    done = subprocess.run(
        [*COMMAND, "recognize", "--json", "--server", server.address, odd],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert os.fsencode(json.loads(done.stdout)["filename"]) == odd


# Inputs


def test_patterns_are_expanded_here_too(folder: Path) -> None:
    found = list(expand([f"{folder}/**/*.wav"]))
    assert found == [folder / "a.wav", folder / "b" / "a.wav"]
    assert list(expand([f"{folder}/*"])) == [
        folder / "a.wav",
        folder / "b" / "a.wav",
        folder / "b" / "c.MP3",
        folder / "notes.txt",
    ]


def test_what_is_left_out_of_a_directory_is_counted(folder: Path, wav: Path) -> None:
    (folder / "notes.md").write_text("no audio")
    (folder / "README").write_text("no audio")
    (folder / "gone.wav").symlink_to(folder / "nowhere")
    (folder / "again.wav").symlink_to(folder / "a.wav")
    (folder / "round").symlink_to(folder)
    (folder / "other.txt").write_text("no audio")
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(wav, elsewhere / "video.MOV")
    (folder / "link").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe.wav")
    left_out = LeftOut()
    found = list(expand([str(folder)], left_out))
    assert found == [
        folder / "a.wav",
        folder / "b" / "a.wav",
        folder / "b" / "c.MP3",
        folder / "link" / "video.MOV",
    ]
    assert str(left_out).startswith("6 files were left out: 2 .txt, ")
    assert left_out.reasons == {
        ".txt": 2,
        ".md": 1,
        "without suffix": 1,
        "broken link": 1,
        "no regular file": 1,
    }


def test_a_directory_that_can_not_be_read_is_counted(folder: Path, monkeypatch: Any) -> None:
    """By a stand-in for permissions, which root has always."""
    listed = Path.iterdir

    def iterdir(path: Path) -> Any:
        if path.name == "b":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    left_out = LeftOut()
    assert list(expand([str(folder)], left_out)) == [folder / "a.wav"]
    assert left_out.reasons == {".txt": 1, "unreadable": 1}


def test_raw_samples_with_their_encoding(run: Any, server: Any, tmp_path: Path) -> None:
    (tmp_path / "call.ulaw").write_bytes(bytes(8000))
    (tmp_path / "call.txt").write_bytes(b"")
    code, _, err = run("recognize", "--encoding", "mulaw", tmp_path)
    assert (code, err) == (1, "emotion2vec: 1 file was left out: 1 .txt\n")
    assert server.service.requests[0].audio_config == audio_pb2.AudioConfig(
        encoding=audio_pb2.AUDIO_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1
    )
    code, _, err = run("recognize", "--rate", 8000, tmp_path)
    assert code == 2
    assert "give their --encoding too" in err


def test_standard_input(server: Any, wav: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "recognize", "--server", server.address, "--json", "-"],
        input=wav.read_bytes(),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["filename"] == "standard input"
    assert server.service.requests[0].audio == wav.read_bytes()


def test_each_channel_by_itself(run: Any, server: Any, wav: Path, tmp_path: Path) -> None:
    code, out, _ = run("recognize", "--per-channel", "--speech-only", wav)
    assert code == 0
    assert f"{wav}, channel 0" in out
    assert f"{wav}, channel 1" in out
    asked = server.service.requests[0].config
    assert asked.channels == recognition_pb2.CHANNELS_SEPARATE
    assert asked.speech_only
    arguments = ("--per-channel", "--json", "--frames", "--output-dir", tmp_path, "--plot")
    arguments += ("--frame-embeddings", "--processed-audio")
    _, out, _ = run("recognize", *arguments, wav)
    result = json.loads(out)
    assert [one["emotion"] for one in result["channels"]] == ["angry", "angry"]
    assert result["granularity"] == "frame"
    folder = Path(result["written"][0])
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert written == [
        "channel_0/embedding.npy",
        "channel_0/frame_embeddings.npy",
        "channel_0/processed_audio.wav",
        "channel_1/embedding.npy",
        "channel_1/frame_embeddings.npy",
        "channel_1/processed_audio.wav",
        "plot_channel_0.png",
        "plot_channel_1.png",
        "result.json",
    ]


def test_what_stands_for_no_file(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = [f"{folder}/*.opus", str(empty), "nowhere.wav"]
    found = list(expand(arguments))
    assert [item.argument for item in found if isinstance(item, Missing)] == arguments


def test_a_file_named_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "take [1].wav"
    path.write_bytes(b"")
    assert list(expand([str(path)])) == [path]


@settings(max_examples=50)
@given(names=st.lists(st.sampled_from(["a.wav", "b", "b/c.MP3", "b/../a.wav", "."]), max_size=6))
def test_each_file_comes_once(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("once")
    (root / "b").mkdir()
    for name in ("a.wav", "b/c.MP3"):
        (root / name).write_bytes(b"")
    found = [os.path.realpath(path) for path in expand(str(root / name) for name in names)]
    assert len(found) == len(set(found)) <= 2
