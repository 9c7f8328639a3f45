"""What a stranger can make the server spend is bounded, and the others don't feel it."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import grpc
import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2, service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.conftest import RunningServer
from tests.e2e.raw_call import RawCall

Code = grpc.StatusCode
SPEECH = np.random.default_rng(0).integers(-9000, 9000, 16000).astype("<i2").tobytes()
RAW = audio_pb2.AudioConfig(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000)
POLITE = service_pb2.RecognizeRequest(audio_config=RAW, audio=SPEECH)
UPLOAD_SECONDS = 60.0
"""What an upload may take: who waits for the strangers' to end waits so long."""
LARGEST = 64 * 2**20
"""Of a message."""


def memory(server: RunningServer, field: str = "VmRSS") -> int:
    """Bytes that a server has now, or at most had (VmHWM)."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def seconds_of(calls: int, server: RunningServer) -> list[float]:
    """How long each of so many polite calls took, one after the other."""
    taken = []
    with server.channel() as channel:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        for _ in range(calls):
            began = time.monotonic()
            assert recognize(POLITE, timeout=2 * UPLOAD_SECONDS).result.label
            taken.append(time.monotonic() - began)
    return taken


def stall(server: RunningServer, source: str = "127.0.0.1") -> RawCall:
    """An upload that begins, and goes no further."""
    call = RawCall(server.address, "Recognize", source=source)
    call.announce(100_000)
    call.send(bytes(100))
    return call


def test_dropped_and_stalled_uploads_shut_nobody_out(demo_server: RunningServer) -> None:
    """11 KB in all, from the polite caller's own address."""
    with ExitStack() as opened:
        for _ in range(40):
            stall(demo_server).__exit__()
        for _ in range(64):
            opened.enter_context(stall(demo_server))
        taken = seconds_of(100, demo_server)
        with demo_server.channel() as channel:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert max(taken) < UPLOAD_SECONDS / 4


def test_uploads_that_take_all_the_room_give_way(start: Callable[..., RunningServer]) -> None:
    server = start("--max-upload-bytes", str(4 * LARGEST))
    with ExitStack() as opened:
        for _ in range(8):
            opened.enter_context(stall(server))
        assert max(seconds_of(3, server)) < UPLOAD_SECONDS / 2


def test_another_address_does_not_feel_them(start: Callable[..., RunningServer]) -> None:
    server = start("--max-upload-bytes", str(10 * LARGEST))
    with ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(stall(server, "127.0.0.2"))
        # In less than an upload's grace: nobody had to give way.
        assert max(seconds_of(20, server)) < 4


def test_flow_control_leaves_what_nobody_reads_with_its_sender(
    start: Callable[..., RunningServer],
) -> None:
    """A call that waits for room holds next to nothing, however much its caller would send."""
    server = start("--max-upload-bytes", "1")
    with ExitStack() as opened:
        opened.enter_context(stall(server))
        calls = [opened.enter_context(RawCall(server.address, "Recognize")) for _ in range(8)]
        for call in calls:
            call.announce(10 * 2**20)
        pool = opened.enter_context(ThreadPoolExecutor(len(calls)))
        taken = pool.map(lambda call: call.flood(2**20), calls)
        # One of them may have come before the upload, or have its room after it gave way.
        assert median(taken) < 2**18


HEALTH = "/grpc.health.v1.Health/"


@pytest.mark.parametrize(
    "method", [f"{HEALTH}Check", f"{HEALTH}Watch", "ListModels", "GetModel", "Recognize"]
)
def test_calls_that_say_nothing_shut_nobody_out(
    start: Callable[..., RunningServer], method: str
) -> None:
    server = start("--max-upload-bytes", str(10 * LARGEST), "--max-upload-seconds", "10")
    with ExitStack() as opened:
        silent = [
            opened.enter_context(RawCall(server.address, method, source="127.0.0.2"))
            for _ in range(300)
        ]
        assert max(seconds_of(5, server)) < UPLOAD_SECONDS / 4
        with server.channel() as channel:
            health = health_pb2_grpc.HealthStub(channel)
            health.Check(health_pb2.HealthCheckRequest(), timeout=UPLOAD_SECONDS / 4)
        # And they end.
        assert silent[-1].status() in (
            Code.DEADLINE_EXCEEDED.value[0],
            Code.RESOURCE_EXHAUSTED.value[0],
        )


def test_streams_that_say_nothing_leave_places_for_others(
    start: Callable[..., RunningServer],
) -> None:
    server = start("--max-streams", "10")
    kind = service_pb2.StreamRecognizeRequest
    config = kind(config=service_pb2.StreamConfig(audio_config=RAW))
    with ExitStack() as opened, server.channel() as channel:
        for _ in range(30):
            opened.enter_context(RawCall(server.address, "StreamRecognize", source="127.0.0.2"))
        stream = service_pb2_grpc.EmotionRecognitionServiceStub(channel).StreamRecognize
        replies = list(stream(iter([config, kind(audio=SPEECH)]), timeout=UPLOAD_SECONDS))
    assert replies[-1].WhichOneof("event") == "final"


def test_a_long_window_is_paid_for_before_it_is_filled(
    start: Callable[..., RunningServer],
) -> None:
    server = start("--max-stream-bytes", "2000000", "--max-audio-seconds", "5")
    kind = service_pb2.StreamRecognizeRequest

    def opening(seconds: int) -> service_pb2.StreamRecognizeRequest:
        window = {"seconds": seconds}
        return kind(config=service_pb2.StreamConfig(audio_config=RAW, window=window))

    with server.channel() as channel:
        stream = service_pb2_grpc.EmotionRecognitionServiceStub(channel).StreamRecognize
        with pytest.raises(grpc.RpcError) as refused:
            list(stream(iter([opening(30)]), timeout=UPLOAD_SECONDS))
        assert refused.value.code() is Code.RESOURCE_EXHAUSTED
        assert "ask for a shorter window" in refused.value.details()
        usual = stream(_open_for_ever(opening(3)), timeout=UPLOAD_SECONDS)
        assert next(usual).WhichOneof("event") == "started"
        assert 300_000 < state_bytes(server) < 1_000_000
        # It is free again at once when the caller is gone.
        usual.cancel()
        until = time.monotonic() + UPLOAD_SECONDS
        while state_bytes(server) and time.monotonic() < until:
            time.sleep(0.05)
        assert state_bytes(server) == 0


def _open_for_ever(
    first: service_pb2.StreamRecognizeRequest,
) -> Iterator[service_pb2.StreamRecognizeRequest]:
    yield first
    threading.Event().wait(UPLOAD_SECONDS)


def state_bytes(server: RunningServer) -> float:
    with urllib.request.urlopen(server.metrics_url, timeout=UPLOAD_SECONDS) as reply:
        text = reply.read().decode()
    found = re.search(r"^emotion2vec_stream_state_bytes (\S+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_messages_without_audio_are_no_sign_of_life(start: Callable[..., RunningServer]) -> None:
    server = start("--stream-idle-seconds", "2")
    kind = service_pb2.StreamRecognizeRequest
    config = kind(config=service_pb2.StreamConfig(audio_config=RAW))

    def now_and_then() -> Iterator[service_pb2.StreamRecognizeRequest]:
        yield config
        for _ in range(100):
            time.sleep(0.5)
            yield kind(audio=b"")

    with server.channel() as channel:
        stream = service_pb2_grpc.EmotionRecognitionServiceStub(channel).StreamRecognize
        with pytest.raises(grpc.RpcError) as late:
            list(stream(now_and_then(), timeout=UPLOAD_SECONDS))
        with pytest.raises(grpc.RpcError) as flood:
            list(stream(iter([config, *[kind(audio=b"")] * 1000]), timeout=UPLOAD_SECONDS))
    assert late.value.code() is Code.UNAVAILABLE
    assert flood.value.code() is Code.INVALID_ARGUMENT


def test_labels_without_end_are_refused(demo_server: RunningServer) -> None:
    config = recognition_pb2.RecognitionConfig(allowed_labels=["sad"] * 100_000)
    message = service_pb2.RecognizeRequest(config=config, audio_config=RAW, audio=SPEECH)
    with demo_server.channel() as channel:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        error = recognize.future(message, compression=grpc.Compression.Gzip).exception()
    assert error.code() is Code.INVALID_ARGUMENT
    assert "256 at most" in error.details()


def test_the_log_quotes_no_megabytes(start: Callable[..., RunningServer]) -> None:
    server = start()
    message = service_pb2.RecognizeRequest(
        request_id="i" * 10**6,
        config=recognition_pb2.RecognitionConfig(model="m" * 10**6),
        audio_config=RAW,
        audio=SPEECH,
    )
    with server.channel() as channel:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        assert recognize.future(message).exception().code() is Code.NOT_FOUND
    assert server.log.find("refused")
    assert max(map(len, server.log.lines)) < 2000


def test_cancelled_uploads_leave_no_memory_behind(demo_server: RunningServer) -> None:
    large = service_pb2.RecognizeRequest(audio_config=RAW, audio=bytes(9 * 2**20))

    def cancel(count: int) -> None:
        with demo_server.channel() as channel:
            recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
            for number in range(count):
                call = recognize.future(large)
                time.sleep(0.002 * (number % 10))
                call.cancel()

    cancel(30)
    before = memory(demo_server)
    cancel(150)
    assert seconds_of(1, demo_server)
    # The last ones may still be on their way out.
    end = time.monotonic() + 30
    while memory(demo_server) - before >= 100 * 2**20:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("size", "count"), [(LARGEST - 2**20, 16), (LARGEST + 1, 4), (300 * 2**20, 1)]
)
def test_little_that_inflates_to_much_is_refused(
    start: Callable[..., RunningServer], size: int, count: int
) -> None:
    server = start()
    bomb = service_pb2.RecognizeRequest(audio_config=RAW, audio=bytes(size)).SerializeToString()
    with server.channel() as channel:
        recognize = channel.unary_unary("/emotion2vec.v1.EmotionRecognitionService/Recognize")
        calls = [recognize.future(bomb, compression=grpc.Compression.Gzip) for _ in range(count)]
        codes = {call.exception().code() for call in calls}
    assert codes == {Code.RESOURCE_EXHAUSTED}
    assert seconds_of(1, server)
    assert memory(server, "VmHWM") < 2 * 2**30


def test_much_metadata_costs_its_own_call_alone(demo_server: RunningServer) -> None:
    with demo_server.channel() as channel:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        others = [recognize.future(POLITE) for _ in range(8)]
        metadata = [(f"key-{number}", "x" * 1000) for number in range(64)]
        assert recognize.future(POLITE, metadata=metadata).exception().code() in (
            Code.RESOURCE_EXHAUSTED,
            Code.UNKNOWN,
            Code.INTERNAL,
        )
        assert all(call.result().result.label for call in others)
        assert recognize(POLITE).result.label


@pytest.mark.parametrize("token", ["letmein ", "letmein\t", " letmein", "nonsense", ""])
def test_a_token_that_is_not_quite_right_is_told(
    start: Callable[..., RunningServer], tmp_path: Path, token: str
) -> None:
    """A blank at its end is no difference; whatever else ends with a reason."""
    tokens = tmp_path / "tokens"
    tokens.write_text("letmein \n")
    server = start("--token-file", str(tokens))
    with server.channel() as channel:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        call = recognize.future(POLITE, metadata=[("authorization", f"Bearer {token}")])
        error = call.exception()
    if token.strip() == "letmein":
        assert error is None or error.details()
    else:
        assert error.code() is Code.UNAUTHENTICATED
        assert "authorization: Bearer TOKEN" in error.details()
        assert server.log.find("refused.*Recognize.*127.0.0.1.*UNAUTHENTICATED")


def test_a_hang_up_signal_stops_nothing(start: Callable[..., RunningServer]) -> None:
    import signal

    server = start()
    server.process.send_signal(signal.SIGHUP)
    assert server.log.find("SIGHUP")
    assert seconds_of(1, server)
