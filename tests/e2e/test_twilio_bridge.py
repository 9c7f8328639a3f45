"""examples/twilio_bridge.py, called as Twilio calls it, in front of the real server."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import numpy as np
import pytest
from emotion2vec_client import Client
from emotion2vec_runtime.audio import g711
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

BRIDGE = Path(__file__).parents[2] / "examples" / "twilio_bridge.py"
FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
STREAM = "MZ0123456789abcdef0123456789abcdef"
CALL = "CA0123456789abcdef0123456789abcdef"
MESSAGE = 160
"""Bytes of 20 ms, as Twilio sends them."""


class Bridge:
    def __init__(self, server: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(BRIDGE), "--server", server, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.address = self.process.stderr.readline().split()[-1]

    def call(self) -> ClientConnection:
        return connect(f"ws://{self.address}")

    def turn(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def bridge(demo_server: Any) -> Iterator[Bridge]:
    bridge = Bridge(demo_server.address)
    yield bridge
    bridge.stop()


def mulaw(client: Client, name: str) -> bytes:
    """An example as a telephone would send it."""
    path = BRIDGE.parent / f"{name}.flac"
    samples = client.recognize(path, processed_audio=True).processed_audio
    assert samples is not None
    order = np.argsort(g711.MULAW).astype(np.uint8)
    at = np.searchsorted(g711.MULAW[order], samples[::2] / 32768).clip(0, 255)
    return order[at].tobytes()


def opening(media_format: dict[str, Any] = FORMAT) -> list[dict[str, Any]]:
    """What comes before audio."""
    start = {
        "accountSid": "AC0123456789abcdef0123456789abcdef",
        "streamSid": STREAM,
        "callSid": CALL,
        "tracks": ["inbound", "outbound"],
        "mediaFormat": media_format,
        "customParameters": {},
    }
    return [
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": STREAM},
    ]


def media(audio: bytes, track: str = "inbound") -> list[dict[str, Any]]:
    return [
        {
            "event": "media",
            "sequenceNumber": str(2 + at // MESSAGE),
            "media": {
                "track": track,
                "chunk": str(1 + at // MESSAGE),
                "timestamp": str(at // 8),
                "payload": base64.b64encode(audio[at : at + MESSAGE]).decode(),
            },
            "streamSid": STREAM,
        }
        for at in range(0, len(audio), MESSAGE)
    ]


def stop() -> dict[str, Any]:
    return {
        "event": "stop",
        "sequenceNumber": "9999",
        "stop": {"accountSid": "AC0123456789abcdef0123456789abcdef", "callSid": CALL},
        "streamSid": STREAM,
    }


def send(socket: ClientConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        socket.send(json.dumps(message))


def test_a_call_is_heard_as_its_samples_are(bridge: Bridge, demo_server: Any) -> None:
    with Client(demo_server.address) as client:
        caller, agent = mulaw(client, "angry"), mulaw(client, "sad")
        alone = client.recognize(caller, encoding="mulaw", sample_rate=8000, speech_only=True)
        with bridge.call() as socket:
            send(socket, *opening(), *media(agent, "outbound"), *media(caller), stop())
            turn = bridge.turn()
    assert turn["call"] == CALL
    assert turn["end"] == pytest.approx(len(caller) / 8000)
    assert alone.emotion is not None
    expected = {score.label: score.probability for score in alone.emotion.scores}
    assert turn["scores"] == pytest.approx(expected, abs=1e-4)


def test_each_turn_has_its_own_emotion(bridge: Bridge, demo_server: Any) -> None:
    pause = b"\xff" * 12000
    with Client(demo_server.address) as client:
        first, second = mulaw(client, "angry"), mulaw(client, "sad")
    with bridge.call() as socket:
        send(socket, *opening(), *media(first + pause))
        angry = bridge.turn()
        send(socket, *media(second), stop())
        sad = bridge.turn()
    assert (angry["emotion"], sad["emotion"]) == ("angry", "sad")
    assert (angry["ended_by"], sad["ended_by"]) == ("silence", "audio")
    assert angry["end"] < sad["start"]


def test_a_call_that_breaks_off_ends_its_turn(bridge: Bridge, demo_server: Any) -> None:
    with Client(demo_server.address) as client:
        caller = mulaw(client, "happy")
    with bridge.call() as socket:
        send(socket, *opening(), *media(caller))
        # Without WebSocket's farewell.
        socket.socket.shutdown(SHUT_RDWR)
        turn = bridge.turn()
    assert turn["end"] == pytest.approx(len(caller) / 8000)


@pytest.mark.parametrize(
    "messages",
    [
        opening({**FORMAT, "encoding": "audio/x-l16"}),
        [*opening(), {"event": "media", "media": {"track": "inbound", "payload": "?"}}],
        [{"hello": "bridge"}],
        [["not", "an", "object"]],
    ],
    ids=["format", "base64", "event", "type"],
)
def test_what_is_not_from_twilio_is_refused(bridge: Bridge, messages: Any) -> None:
    with bridge.call() as socket:
        send(socket, *messages)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
