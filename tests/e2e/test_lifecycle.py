"""Start, stop, and what stands around the calls."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
from emotion2vec.v1 import audio_pb2, service_pb2, service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.e2e.conftest import RunningServer, start_server

NAME = "emotion2vec.v1.EmotionRecognitionService"
STATUS = health_pb2.HealthCheckResponse
NOISE = np.random.default_rng(0).integers(-9000, 9000, 10 * 16000).astype("<i2").tobytes()
REQUEST = service_pb2.RecognizeRequest(
    audio_config=audio_pb2.AudioConfig(
        encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000
    ),
    audio=NOISE,
)


def recognize(channel: grpc.Channel, **options: object) -> service_pb2.RecognizeResponse:
    stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
    return stub.Recognize(REQUEST, **options)  # type: ignore[arg-type]


def fails_to_start(*arguments: str) -> tuple[int, str]:
    """Exit status and last line of a server that can't start."""
    ports = ("--port", "0", "--http-port", "0", "--no-metrics")
    done = subprocess.run(
        [sys.executable, "-m", "emotion2vec_server", *ports, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_health(demo_server: RunningServer) -> None:
    with demo_server.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", NAME):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == STATUS.SERVING


def test_reflection(demo_server: RunningServer) -> None:
    with demo_server.channel() as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert NAME in database.get_services()
        file = database.FindFileContainingSymbol(NAME)
        assert [method.name for method in file.service[0].method] == [
            "Recognize",
            "RecognizeRecording",
            "StreamRecognize",
            "ListModels",
            "GetModel",
        ]


def test_metrics_count_what_happened(demo_server: RunningServer) -> None:
    def scrape() -> dict[str, float]:
        with urllib.request.urlopen(demo_server.metrics_url) as reply:
            lines = reply.read().decode().splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")
        }

    before = scrape()
    with demo_server.channel() as channel:
        recognize(channel)
    after = scrape()

    def grew(start: str) -> float:
        return sum(after[k] - before.get(k, 0.0) for k in after if k.startswith(start))

    assert grew('emotion2vec_requests_total{code="OK",door="grpc",method="Recognize"') == 1
    assert grew("emotion2vec_audio_seconds_total") == pytest.approx(10.0)
    assert grew("emotion2vec_inference_seconds_count") == 1
    assert grew("emotion2vec_queue_seconds_count") == 1
    assert grew("emotion2vec_request_seconds_count") == 1


def test_sigterm_loses_nothing() -> None:
    server = start_server()
    with server.channel() as channel, ThreadPoolExecutor(32) as callers:
        recognize(channel)
        calls = [callers.submit(recognize, channel) for _ in range(32)]
        calls[0].result()
        status = server.stop()
        outcomes = [call.exception() for call in calls]
    assert status == 0
    assert any(outcome is None for outcome in outcomes)
    # What the server had accepted was answered; what had not reached it was told to go elsewhere.
    refused = {outcome.code() for outcome in outcomes if isinstance(outcome, grpc.RpcError)}
    assert refused <= {grpc.StatusCode.UNAVAILABLE}


def test_a_server_that_loads_can_be_stopped() -> None:
    """Loading is seconds of work in a thread: nobody waits for it."""
    code = (
        "import sys, time; from emotion2vec_server.process import app\n"
        "app.load_models = lambda *_: time.sleep(300)\n"
        "from emotion2vec_server.__main__ import main; sys.exit(main())"
    )
    ports = ("--port", "0", "--http-port", "0", "--metrics-port", "0")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *ports], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "metrics on" in process.stderr.readline()
    process.terminate()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "serving on" not in log
    assert "Traceback" not in log


def test_it_runs_on_plain_asyncio() -> None:
    """As on Windows, where there is no uvloop, nor signal handlers of a loop."""
    code = (
        "import asyncio, sys; sys.modules['uvloop'] = None\n"
        "del asyncio.SelectorEventLoop.add_signal_handler\n"
        "import signal; del signal.SIGHUP\n"
        "from emotion2vec_server.__main__ import main; sys.exit(main())"
    )
    server = start_server(command=(sys.executable, "-c", code))
    with server.channel() as channel, ThreadPoolExecutor(8) as callers:
        replies = list(callers.map(recognize, [channel] * 16))
    assert all(reply.result.label for reply in replies)
    assert server.stop() == 0


def test_a_drained_stream_finishes_its_utterance() -> None:
    server = start_server()
    kind = service_pb2.StreamRecognizeRequest
    under_way = threading.Event()

    def requests() -> Iterator[service_pb2.StreamRecognizeRequest]:
        yield kind(config=service_pb2.StreamConfig(audio_config=REQUEST.audio_config))
        yield kind(audio=NOISE)
        under_way.wait(60)
        server.process.terminate()
        server.wait_for("draining")
        yield kind(audio=NOISE)
        yield kind(end_utterance=service_pb2.EndUtterance())
        server.wait_for("stopped")

    with server.channel() as channel:
        replies = service_pb2_grpc.EmotionRecognitionServiceStub(channel).StreamRecognize(
            requests()
        )
        assert any(reply.HasField("frames") for reply in replies)
        under_way.set()
        final = next(reply.final for reply in replies if reply.HasField("final"))
        with pytest.raises(grpc.RpcError) as raised:
            next(replies)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert final.end_offset.ToMilliseconds() == 20_000
    assert server.stop() == 0


def test_a_broken_bundle_stops_the_start(tmp_path: Path) -> None:
    status, line = fails_to_start("--model", str(tmp_path))
    assert status == 1
    assert "no model bundle" in line


def test_two_models_of_one_name_stop_the_start() -> None:
    from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE

    status, line = fails_to_start("--model", str(DEMO_BUNDLE), "--model", str(DEMO_BUNDLE))
    assert status == 2
    assert "--name" in line


@pytest.mark.parametrize("option", ["--port", "--http-port"])
def test_a_port_in_use_stops_the_start(option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, line = fails_to_start(option, str(taken.getsockname()[1]))
    assert status == 1
    assert f"choose another {option}" in line


def test_an_address_that_is_none_is_named() -> None:
    status, line = fails_to_start("--host", "300.1.1.1")
    assert status == 1
    assert "--host 300.1.1.1: no such address" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "x"], "--port"),
        (["--provider", "tensorrt"], "tensorrt"),
        (["--precision", "fp16"], "fp16"),
        (["--token-file", "/nowhere"], "--token-file"),
        (["--tls-key", "/nowhere", "--tls-certificate", "/nowhere"], "--tls-"),
    ],
)
def test_a_bad_setting_is_a_usage_error(arguments: list[str], words: str) -> None:
    status, line = fails_to_start(*arguments)
    assert status == 2
    assert words in line


def test_tokens(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first\nsecond\n")
    server = start_server("--token-file", str(tokens))
    with server.channel() as channel:
        assert recognize(channel, metadata=[("authorization", "Bearer second")]).result.label
        stream = service_pb2_grpc.EmotionRecognitionServiceStub(channel).StreamRecognize
        for metadata in ([], [("authorization", "Bearer third")], [("authorization", "first")]):
            for call in (
                lambda metadata=metadata: recognize(channel, metadata=metadata),
                lambda metadata=metadata: list(stream(iter(()), metadata=metadata)),
            ):
                with pytest.raises(grpc.RpcError) as raised:
                    call()
                assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == STATUS.SERVING
    assert server.stop() == 0


def test_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    files = ("--tls-key", str(key), "--tls-certificate", str(certificate))
    server = start_server(*files)
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    port = server.address.rpartition(":")[2]
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        assert recognize(channel).result.label
    with server.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        recognize(channel)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    url = server.http_url.replace("127.0.0.1", "localhost")
    assert requests.get(f"{url}/readyz", verify=str(certificate)).status_code == 200
    assert server.stop() == 0
    # It signed itself, so it may be its own authority.
    server = start_server(*files, "--tls-client-ca", str(certificate))
    url = server.http_url.replace("127.0.0.1", "localhost")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/readyz", verify=str(certificate))
    shown = (str(certificate), str(key))
    assert requests.get(f"{url}/readyz", verify=str(certificate), cert=shown).status_code == 200
    assert server.stop() == 0
