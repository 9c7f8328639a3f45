"""The Python client and its command against the real server on the demo model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emotion2vec_client import (
    END_UTTERANCE,
    KEEP_ALIVE,
    NO_RETRY,
    AsyncClient,
    Client,
    EndOfUtterance,
    Health,
    InvalidAudioError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    StreamFinal,
    StreamFrames,
    StreamStarted,
    UnauthenticatedError,
    UtteranceEnd,
)

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.flac"))


@pytest.fixture
def client(demo_server: Any) -> Any:
    with Client(demo_server.address) as client:
        yield client


def probabilities(emotion: Any) -> list[float]:
    return [score.probability for score in emotion.scores]


def test_both_clients_give_one_result(client: Any, demo_server: Any) -> None:
    async def ask() -> Any:
        async with AsyncClient(demo_server.address) as other:
            calls = (other.recognize(path, frames=True) for path in EXAMPLES)
            return await asyncio.gather(*calls)

    for path, batched in zip(EXAMPLES, asyncio.run(ask()), strict=True):
        alone = client.recognize(path, frames=True)
        assert np.allclose(alone.frames.probabilities, batched.frames.probabilities, atol=1e-4)
        assert probabilities(alone.emotion) == pytest.approx(
            probabilities(batched.emotion), abs=1e-4
        )


def test_what_the_model_heard_gives_the_same_result_as_an_array(client: Any) -> None:
    first = client.recognize(EXAMPLES[0], processed_audio=True, embedding=True)
    again = client.recognize(first.processed_audio, sample_rate=16000, embedding=True)
    as_float = (first.processed_audio / 32768).astype(np.float32)
    stereo = np.stack([as_float, as_float], axis=1)
    third = client.recognize(stereo, sample_rate=16000)
    assert again.embedding == pytest.approx(first.embedding, abs=2e-3)
    assert probabilities(again.emotion) == pytest.approx(probabilities(first.emotion), abs=1e-3)
    assert probabilities(third.emotion) == pytest.approx(probabilities(again.emotion), abs=1e-4)
    assert first.embedding.shape == (client.get_model().embedding_size,)


def test_stream_of_two_utterances(client: Any) -> None:
    whole = client.recognize(EXAMPLES[1], processed_audio=True)
    samples = whole.processed_audio
    chunks = [*np.array_split(samples, 7), END_UTTERANCE, samples]
    events = list(client.stream(chunks, sample_rate=16000))
    assert isinstance(events[0], StreamStarted)
    assert [event.sequence for event in events] == list(range(len(events)))
    finals = [event for event in events if isinstance(event, StreamFinal)]
    assert [final.utterance for final in finals] == [0, 1]
    expected = client.recognize(samples, sample_rate=16000)
    for final in finals:
        assert probabilities(final.recognition.emotion) == pytest.approx(
            probabilities(expected.emotion), abs=1e-3
        )
    for utterance in (0, 1):
        frames = [
            event.frames
            for event in events
            if isinstance(event, StreamFrames)
            and event.frames.is_final
            and event.utterance == utterance
        ]
        count = 0
        for part in frames:
            assert part.first_index == count
            count += len(part.probabilities)
        assert count == (len(samples) - 400) // 320 + 1


def test_the_server_ends_utterances_when_asked_to(client: Any) -> None:
    speech = client.recognize(EXAMPLES[1], processed_audio=True).processed_audio
    silence = np.zeros(2 * 16000, np.int16)
    chunks = [silence, speech, KEEP_ALIVE, silence, speech, silence]
    events = list(
        client.stream(
            chunks, sample_rate=16000, mode="windowed", end_of_utterance=EndOfUtterance(0.7)
        )
    )
    assert events[0].mode == "windowed"
    finals = [event for event in events if isinstance(event, StreamFinal)]
    assert [final.ended_by for final in finals] == [UtteranceEnd.SILENCE] * 2
    seconds = len(speech) / 16000
    for number, final in enumerate(finals):
        begins = 2 + number * (2 + seconds)
        assert begins - 0.9 < final.start < begins
        assert begins < final.end < begins + seconds + 0.8
        # What the model heard is that span, and nothing of the silence before it.
        covered = [
            event.frames
            for event in events
            if isinstance(event, StreamFrames) and event.utterance == number
        ]
        assert covered[0].start == pytest.approx(final.start)


@pytest.mark.parametrize("detector", ["energy", "silero"])
def test_a_turn_in_traffic_ends_where_speech_is_heard(start: Any, detector: str) -> None:
    """A lorry that passes keeps the energy gate open: the turn ends too late, or not at all."""
    server = start("--voice-detector", detector)
    with Client(server.address) as client:
        speech = client.recognize(EXAMPLES[1], processed_audio=True).processed_audio
        time_ = np.arange(9 * 16000) / 16000
        swell = 10 ** (-15 * np.cos(np.pi * time_ / 4) ** 2 / 20)
        noise = 600 * swell * np.random.default_rng(0).standard_normal(len(time_))
        noise[2 * 16000 : 2 * 16000 + len(speech)] += speech
        chunks = np.array_split(noise.astype(np.int16), 90)
        events = client.stream(chunks, sample_rate=16000, end_of_utterance=EndOfUtterance(0.5))
        finals = [event for event in events if isinstance(event, StreamFinal)]
    ends = 2 + len(speech) / 16000
    in_time = [
        final
        for final in finals
        if final.ended_by is UtteranceEnd.SILENCE and abs(final.end - ends - 0.5) < 0.4
    ]
    if detector == "energy":
        assert not in_time
    else:
        assert finals == in_time
        assert len(finals) == 1
        assert 2 - 0.9 < finals[0].start <= 2


def test_errors_are_typed(client: Any) -> None:
    with pytest.raises(InvalidAudioError) as caught:
        client.recognize(b"this is no audio at all")
    assert caught.value.field.startswith("audio")
    with pytest.raises(InvalidRequestError) as caught:
        client.recognize(EXAMPLES[0], allowed_labels=["hungry"])
    assert caught.value.field == "config.allowed_labels"
    with pytest.raises(NotFoundError):
        client.recognize(EXAMPLES[0], model="nowhere")
    with pytest.raises(NotFoundError):
        client.get_model("nowhere")
    with pytest.raises(InvalidAudioError):
        list(client.stream([b""], sample_rate=7))
    assert client.health() is Health.SERVING


def test_retries_bring_all_calls_through_a_full_queue(start: Any) -> None:
    server = start("--max-queue-size", "1")
    with (
        Client(server.address, timeout=80) as patient,
        Client(server.address, retry=NO_RETRY) as hasty,
    ):
        audio = np.random.default_rng(0).normal(0, 0.1, 16000 * 6).astype(np.float32)

        def ask(client: Client) -> Any:
            try:
                return client.recognize(audio, sample_rate=16000)
            except OverloadedError as error:
                return error

        with ThreadPoolExecutor(8) as pool:
            refused = [answer for answer in pool.map(ask, [hasty] * 8) if _is_error(answer)]
            served = [answer for answer in pool.map(ask, [patient] * 8) if not _is_error(answer)]
    assert refused, "the queue was never full: the test shows nothing"
    assert all(error.retry_after is not None for error in refused)
    assert len(served) == 8


def _is_error(answer: Any) -> bool:
    return isinstance(answer, OverloadedError)


def test_token(start: Any, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("open sesame\n".replace(" ", "-"))
    tokens.chmod(0o600)
    server = start("--token-file", str(tokens))
    with Client(server.address, token="open-sesame") as client:
        assert client.recognize(EXAMPLES[0]).emotion is not None
        assert list(client.stream([bytes(32000)], sample_rate=16000))
    with Client(server.address, token="wrong") as client:
        with pytest.raises(UnauthenticatedError):
            client.recognize(EXAMPLES[0])
        with pytest.raises(UnauthenticatedError):
            list(client.stream([bytes(32000)], sample_rate=16000))


def run(demo_server: Any, command: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "emotion2vec_client", command),
            *("--server", demo_server.address, *map(str, arguments)),
        ],
        capture_output=True,
        text=True,
        timeout=80,
    )


def test_command(demo_server: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    done = run(demo_server, "recognize", "--json", EXAMPLES[0], bad, EXAMPLES[1])
    first, failed, last = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert done.stderr.startswith(f"emotion2vec: {bad}: ")
    assert failed["error"]["code"] == "INVALID_ARGUMENT"
    assert sum(first["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert last["filename"] == str(EXAMPLES[1])


def test_stream_command_decodes_any_format(demo_server: Any) -> None:
    done = run(demo_server, "stream", "--json", EXAMPLES[2])
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    whole = json.loads(run(demo_server, "recognize", "--json", EXAMPLES[2]).stdout)
    assert events[-1]["event"] == "final"
    assert events[-1]["scores"] == pytest.approx(whole["scores"], abs=5e-3)
