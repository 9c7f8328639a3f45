"""The HTTP door, as a caller meets it: the same answers as by gRPC, in every form."""

from __future__ import annotations

import base64
import csv
import io
import json
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import soundfile
from emotion2vec.v1 import recognition_pb2, service_pb2, service_pb2_grpc
from google.protobuf import json_format
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.conftest import RunningServer

Stub = service_pb2_grpc.EmotionRecognitionServiceStub
OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "frames": {"granularity": "FRAME"},
    "embedding": {"return_embedding": True},
    "frame embeddings": {"return_frame_embeddings": True},
    "processed audio": {"return_processed_audio": True},
    "labels": {"allowed_labels": ["angry", "sad"]},
    "channels apart": {"channels": "SEPARATE", "granularity": "FRAME"},
    "speech only": {"speech_only": True},
    "model": {"model": "emotion2vec_demo"},
}


@pytest.fixture(scope="module")
def url(demo_server: RunningServer) -> str:
    return demo_server.http_url


@pytest.fixture(scope="module")
def recordings(examples: list[Path]) -> dict[str, bytes]:
    """A mono FLAC; a stereo WAV with a speaker a channel; one of several windows."""
    angry, sad = (
        soundfile.read(next(path for path in examples if path.stem == name), dtype="float32")[0]
        for name in ("angry", "sad")
    )
    length = min(len(angry), len(sad))
    return {
        "mono": next(path for path in examples if path.stem == "angry").read_bytes(),
        "stereo": wav(np.stack([angry[:length], sad[:length]], axis=1)),
        "long": wav(np.tile(np.concatenate([angry, sad]), 9)[: 40 * 16000]),
    }


def wav(samples: np.ndarray) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, 16000, format="WAV", subtype="PCM_16")
    return content.getvalue()


def grpc_reply(stub: Stub, audio: bytes, options: dict[str, Any]) -> dict[str, Any]:
    config = recognition_pb2.RecognitionConfig()
    words = {"granularity": "GRANULARITY_", "channels": "CHANNELS_"}
    named = {k: words[k] + v if k in words else v for k, v in options.items()}
    json_format.ParseDict(named, config)
    reply = stub.Recognize(service_pb2.RecognizeRequest(config=config, audio=audio))
    return comparable(
        json_format.MessageToDict(
            reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    )


def comparable(reply: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from one run to the next."""
    kept = ("model", "model_version", "precision", "provider", "audio_duration", "server_version")
    return {**reply, "metadata": {name: reply["metadata"][name] for name in kept}}


def same(one: Any, other: Any) -> None:
    """Equal, but for the last digits of numbers."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        if one and isinstance(one[0], float):
            np.testing.assert_allclose(one, other, atol=2e-5)
        else:
            for left, right in zip(one, other, strict=True):
                same(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=2e-5)
    else:
        assert one == other


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("recording", ["mono", "stereo", "long"])
def test_both_doors_give_the_same(
    url: str, stub: Stub, recordings: dict[str, bytes], recording: str, options: dict[str, Any]
) -> None:
    audio = recordings[recording]
    reply = requests.post(f"{url}/v1/recognize", params=options, data=audio)
    assert reply.status_code == 200, reply.text
    same(comparable(reply.json()), grpc_reply(stub, audio, options))


def test_a_body_of_unknown_length_is_the_same(url: str, recordings: dict[str, bytes]) -> None:
    """In pieces it goes another way through the server: that of recordings of any length."""
    for audio in recordings.values():
        pieces = (audio[i : i + 50_000] for i in range(0, len(audio), 50_000))
        params = {"granularity": "FRAME", "return_processed_audio": "true"}
        whole = requests.post(f"{url}/v1/recognize", params=params, data=audio).json()
        parts = requests.post(f"{url}/v1/recognize", params=params, data=pieces).json()
        same(comparable(parts), comparable(whole))


def test_forms_may_have_their_fields_anywhere(url: str, recordings: dict[str, bytes]) -> None:
    audio = recordings["mono"]
    fields = {"allowed_labels": "angry,sad", "request_id": "mine"}
    form = requests.post(f"{url}/v1/recognize", files={"file": ("a.flac", audio)}, data=fields)
    query = requests.post(f"{url}/v1/recognize", params=fields, data=audio)
    same(comparable(form.json()), comparable(query.json()))
    boundary = "--x\r\nContent-Disposition: form-data; name="
    late = (
        f'{boundary}"file"; filename="a"\r\n\r\n'.encode()
        + audio
        + f'\r\n{boundary}"request_id"\r\n\r\nmine\r\n--x--\r\n'.encode()
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    reply = requests.post(f"{url}/v1/recognize", data=late, headers=kind)
    assert reply.json()["request_id"] == "mine"


def test_parts_come_as_lines_and_as_events(url: str, recordings: dict[str, bytes]) -> None:
    audio = recordings["long"]
    whole = requests.post(f"{url}/v1/recognize", data=audio).json()
    lines = requests.post(
        f"{url}/v1/recognize", data=audio, headers={"accept": "application/x-ndjson"}
    )
    *parts, last = [json.loads(line) for line in lines.text.splitlines()]
    same([part["part"]["segment"] for part in parts], whole["segments"])
    same(last["result"]["result"], whole["result"])
    events = requests.post(
        f"{url}/v1/recognize", data=audio, headers={"accept": "text/event-stream"}
    )
    assert events.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in events.text.strip().split("\n\n")]
    assert [block[0] for block in blocks] == ["event: part"] * len(parts) + ["event: result"]
    same(json.loads(blocks[-1][1].removeprefix("data: "))["result"]["result"], whole["result"])


def test_progress_comes_before_the_whole(url: str, recordings: dict[str, bytes]) -> None:
    audio = recordings["long"]
    asked = {"granularity": "FRAME", "return_embedding": "true", "return_processed_audio": "true"}
    whole = requests.post(f"{url}/v1/recognize", data=audio, params=asked).json()
    reply = requests.post(
        f"{url}/v1/recognize", data=audio, params=asked, headers={"accept": "application/json-seq"}
    )
    # RFC 7464: a record separator before each, a line feed behind it.
    *steps, last = [json.loads(text) for text in reply.text.split("\x1e")[1:]]
    heard = [float(step["progress"]["end_offset"].removesuffix("s")) for step in steps]
    ends = [float(segment["end_offset"].removesuffix("s")) for segment in whole["segments"]]
    # Of what was done before all had been sent nothing is said.
    assert heard == pytest.approx(ends[-len(heard) :], abs=0.001)
    assert heard
    # Times that it took.
    del whole["metadata"], last["response"]["metadata"]
    same(last["response"], whole)


def test_parts_come_while_the_recording_does(url: str, recordings: dict[str, bytes]) -> None:
    samples = soundfile.read(io.BytesIO(recordings["long"]), dtype="int16")[0]
    audio = np.tile(samples, 2).tobytes()
    query = "encoding=LINEAR16&sample_rate_hertz=16000"
    begun = 40 * 32000

    def chunk(data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data)

    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as sender:
        sender.sendall(
            f"POST /v1/recognize?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            "Accept: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        sender.sendall(chunk(audio[:begun]))
        came = b""
        while b'{"part"' not in came:
            came += sender.recv(65536)
        for begin in range(begun, len(audio), 32000):
            sender.sendall(chunk(audio[begin : begin + 32000]))
        sender.sendall(b"0\r\n\r\n")
        while data := sender.recv(65536):
            came += data
    last = next(line for line in came.splitlines() if line.startswith(b'{"result"'))
    whole = requests.post(f"{url}/v1/recognize?{query}", data=audio).json()
    same(json.loads(last)["result"]["result"], whole["result"])


def test_the_folder_holds_all_of_it(url: str, recordings: dict[str, bytes]) -> None:
    accept = {"accept": "application/zip"}
    more = {"return_frame_embeddings": "1"}
    reply = requests.post(
        f"{url}/v1/recognize", params=more, data=recordings["mono"], headers=accept
    )
    asked = {"granularity": "FRAME", "return_embedding": "1", "return_processed_audio": "1"}
    whole = requests.post(f"{url}/v1/recognize", params=asked, data=recordings["mono"]).json()
    with zipfile.ZipFile(io.BytesIO(reply.content)) as folder:
        names = set(folder.namelist())
        result = json.loads(folder.read("result.json"))
        embedding = np.load(io.BytesIO(folder.read("embedding.npy")))
        frame_embeddings = np.load(io.BytesIO(folder.read("frame_embeddings.npy")))
        rows = list(csv.reader(io.StringIO(folder.read("frames.csv").decode())))
        audio, rate = soundfile.read(io.BytesIO(folder.read("processed_audio.wav")), dtype="int16")
        picture = folder.read("plot.png")
    assert names == {
        *("result.json", "processed_audio.wav", "embedding.npy", "frame_embeddings.npy"),
        *("frames.csv", "plot.png"),
    }
    same(result["result"], whole["result"])
    np.testing.assert_allclose(embedding, whole["embedding"]["values"], atol=1e-5)
    np.testing.assert_allclose(frame_embeddings.mean(axis=0), embedding, atol=1e-5)
    assert rows[0] == ["start_seconds", *whole["frames"]["labels"]]
    scores = np.array([row[1:] for row in rows[1:]], float)
    np.testing.assert_allclose(scores.ravel(), whole["frames"]["probabilities"], atol=1e-5)
    assert rate == 16000
    assert audio.astype("<i2").tobytes() == base64.b64decode(whole["processed_audio"])
    assert picture.startswith(b"\x89PNG")


PROBLEMS: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "nothing": ({"data": b""}, 400, "audio"),
    "no audio": ({"data": b"these are no samples" * 100}, 400, "audio"),
    "no such parameter": ({"params": {"granulartiy": "FRAME"}}, 400, "granulartiy"),
    "no such value": ({"params": {"granularity": "WORD"}}, 400, "granularity"),
    "no such label": ({"params": {"allowed_labels": "bored"}}, 400, "allowed_labels"),
    "no such model": ({"params": {"model": "other"}}, 404, None),
    "a wrong encoding": ({"params": {"encoding": "MP3"}}, 400, "encoding"),
    "a coding": ({"headers": {"content-encoding": "gzip"}}, 415, None),
    "a form that can't be": ({"headers": {"accept": "image/png"}}, 406, None),
    "no time": ({"headers": {"x-request-timeout": "0.00001"}}, 504, None),
    "a timeout that is none": (
        {"headers": {"x-request-timeout": "soon"}},
        400,
        "x-request-timeout",
    ),
    "no file": ({"files": {"other": (None, "x")}}, 400, "audio"),
}


@pytest.mark.parametrize("case", PROBLEMS.values(), ids=PROBLEMS)
def test_problems_say_what_is_wrong(
    url: str, recordings: dict[str, bytes], case: tuple[dict[str, Any], int, str | None]
) -> None:
    call, status, field = case
    if "data" not in call and "files" not in call:
        call = {**call, "data": recordings["mono"]}
    reply = requests.post(f"{url}/v1/recognize", **call)
    problem = reply.json()
    assert reply.status_code == problem["status"] == status
    assert reply.headers["content-type"].startswith("application/problem+json")
    assert problem.get("field") == field
    assert problem["detail"]


def test_other_addresses(url: str, demo_server: RunningServer) -> None:
    assert requests.get(f"{url}/healthz").text == "ok\n"
    assert requests.get(f"{url}/readyz").status_code == 200
    models = requests.get(f"{url}/v1/models").json()["models"]
    assert [model["name"] for model in models] == ["emotion2vec_demo"]
    assert models[0]["is_default"]
    metrics = requests.get(f"{url}/metrics").text
    assert "emotion2vec_requests_total" in metrics
    assert requests.get(demo_server.metrics_url).status_code == 200
    missing = requests.get(f"{url}/v2/recognize")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)
    wrong = requests.get(f"{url}/v1/recognize")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_pages_fetch_nothing_from_elsewhere(url: str) -> None:
    for path in ("/", "/docs"):
        reply = requests.get(url + path)
        assert reply.status_code == 200
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "//" not in reply.text.replace("http://www.w3.org", "")
    script = requests.get(f"{url}/docs/assets/swagger-ui-bundle.js")
    assert len(script.content) > 500_000


def test_other_sites_may_not_call_unless_they_are_named(
    url: str, start: Callable[..., RunningServer]
) -> None:
    asked = {"origin": "https://example.org", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in requests.get(f"{url}/readyz", headers=asked).headers
    named = start("--cors-origin", "https://example.org")
    reply = requests.options(f"{named.http_url}/v1/recognize", headers=asked)
    assert reply.headers["access-control-allow-origin"] == "https://example.org"
    # Browsers leave it to the server whether a page may open a WebSocket.
    for server_url, origin, is_let_in in (
        (url, url, True),
        (url, "https://example.org", False),
        (url, "null", False),
        (named.http_url, "https://example.org", True),
        (named.http_url, "https://example.com", False),
    ):
        stream_url = server_url.replace("http", "ws") + "/v1/stream"
        if is_let_in:
            connect(stream_url, origin=origin).__enter__().close()  # type: ignore[arg-type]
        else:
            with pytest.raises(InvalidStatus, match="403"):
                connect(stream_url, origin=origin)  # type: ignore[arg-type]


# Streams


@pytest.fixture
def socket_of(url: str) -> Iterator[Callable[[], ClientConnection]]:
    opened: list[ClientConnection] = []

    def open_socket() -> ClientConnection:
        address = url.replace("http", "ws") + "/v1/stream"
        opened.append(connect(address, max_size=None).__enter__())
        return opened[-1]

    yield open_socket
    for one in opened:
        one.close()


def test_a_stream_ends_with_what_recognize_says(
    socket_of: Callable[[], ClientConnection], url: str, recordings: dict[str, bytes]
) -> None:
    samples, rate = soundfile.read(io.BytesIO(recordings["mono"]), dtype="int16")
    stream = socket_of()
    audio_config = {"encoding": "AUDIO_ENCODING_LINEAR16", "sample_rate_hertz": rate}
    stream.send(json.dumps({"request_id": "mine", "audio_config": audio_config}))
    data = samples.astype("<i2").tobytes()
    for begin in range(0, len(data), 3200):
        stream.send(data[begin : begin + 3200])
    stream.send(json.dumps({"end_of_stream": {}}))
    events = [json.loads(message) for message in stream]
    assert events[0]["started"]["request_id"] == "mine"
    frames = [event["frames"] for event in events if "frames" in event]
    final = events[-1]["final"]
    assert sum(part["frame_count"] for part in frames) == (len(samples) - 400) // 320 + 1
    whole = requests.post(f"{url}/v1/recognize", data=recordings["mono"]).json()
    same(final["result"], whole["result"])
    assert [event["sequence"] for event in events] == [str(n) for n in range(len(events))]


def test_a_stream_takes_any_container(
    socket_of: Callable[[], ClientConnection], url: str, recordings: dict[str, bytes]
) -> None:
    audio = recordings["mono"]
    stream = socket_of()
    stream.send("{}")
    for begin in range(0, len(audio), 5000):
        stream.send(audio[begin : begin + 5000])
    stream.send(json.dumps({"end_of_stream": {}}))
    *_, last = [json.loads(message) for message in stream]
    whole = requests.post(f"{url}/v1/recognize", data=audio).json()
    same(last["final"]["result"], whole["result"])


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([b"\0\0"], "config"),
        (["no json"], ""),
        (
            [json.dumps({"audio_config": {"encoding": "AUDIO_ENCODING_LINEAR16"}})],
            "sample_rate_hertz",
        ),
        ([json.dumps({"hop": "99s"})], None),
    ],
)
def test_a_stream_that_is_wrong_says_so(
    socket_of: Callable[[], ClientConnection], messages: list[str | bytes], field: str | None
) -> None:
    stream = socket_of()
    for message in messages:
        stream.send(message)
    problem = json.loads(stream.recv())["error"]
    assert problem["status"] == 400
    if field is not None:
        assert problem.get("field", "") == field
    with pytest.raises(ConnectionClosed):
        stream.recv()
    assert stream.close_code == 1008


def test_tokens_are_asked_for_by_every_way(
    start: Callable[..., RunningServer], tmp_path: Path, recordings: dict[str, bytes]
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("secret/1\n")
    url = start("--token-file", str(tokens)).http_url
    refused = requests.post(f"{url}/v1/recognize", data=recordings["mono"])
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert requests.get(f"{url}/v1/models").status_code == 401
    assert requests.get(f"{url}/metrics").status_code == 401
    assert requests.get(f"{url}/healthz").status_code == 200
    assert requests.get(f"{url}/").status_code == 200
    bearer = {"authorization": "Bearer secret/1"}
    assert requests.get(f"{url}/v1/models", headers=bearer).status_code == 200
    stream_url = url.replace("http", "ws") + "/v1/stream"
    coded = base64.urlsafe_b64encode(b"secret/1").decode().rstrip("=")
    spoken = ["emotion2vec.v1", f"base64url.bearer.authorization.{coded}"]
    with connect(stream_url, subprotocols=spoken) as stream:  # type: ignore[arg-type]
        assert stream.subprotocol == "emotion2vec.v1"
        stream.send(
            json.dumps(
                {"audio_config": {"encoding": "AUDIO_ENCODING_MULAW", "sample_rate_hertz": 8000}}
            )
        )
        assert "started" in json.loads(stream.recv())
    with connect(stream_url) as stream:
        assert json.loads(stream.recv())["error"]["status"] == 401


def test_a_caller_who_leaves_is_noticed(
    start: Callable[..., RunningServer], recordings: dict[str, bytes]
) -> None:
    server = start("--log-level", "debug")
    host, port = server.http_url.removeprefix("http://").split(":")
    head = f"POST /v1/recognize HTTP/1.1\r\nHost: x\r\nContent-Length: {2**20}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as leaver:
        leaver.sendall(head + bytes(1000))
    # It counts as ended, and what it held is free.
    deadline = 50
    while deadline and 'method="Recognize"' not in requests.get(server.metrics_url).text:
        deadline -= 1
        requests.post(f"{server.http_url}/v1/recognize", data=recordings["mono"])
    counted = requests.get(server.metrics_url).text
    assert (
        'emotion2vec_requests_total{code="CANCELLED",door="http",method="Recognize"}' in counted
        or ('code="INVALID_ARGUMENT",door="http",method="Recognize"' in counted)
    )
