"""What goes wrong, on real servers: poisoned and hungry requests, floods, callers who misbehave."""

from __future__ import annotations

import asyncio
import struct
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from emotion2vec.v1 import audio_pb2, service_pb2, service_pb2_grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tests.e2e.conftest import RunningServer, start_server
from tests.e2e.faulty_models import clip, write_bundle
from tests.e2e.raw_call import RawCall

Code = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING
HOLD = 0.5
"""A SLOW cue: for a second or more, and longer the busier the machine."""
PATIENCE = 60.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "faulty")


@pytest.fixture
def launch(bundle: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers on the faulty model, which must end well."""
    servers = []

    def start(*arguments: str) -> RunningServer:
        options = ["--model", str(bundle), "--threads", "1", "--instances", "1", *arguments]
        servers.append(start_server(*options))
        return servers[-1]

    yield start
    assert [server.stop() for server in servers] == [0] * len(servers)


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[RunningServer]:
    """One server for the tests that leave it as it was."""
    running = start_server("--model", str(bundle), "--threads", "1", "--instances", "1")
    yield running
    assert running.stop() == 0


def request(samples: np.ndarray) -> service_pb2.RecognizeRequest:
    return service_pb2.RecognizeRequest(
        audio_config=audio_pb2.AudioConfig(
            encoding=audio_pb2.AUDIO_ENCODING_FLOAT32, sample_rate_hertz=16000
        ),
        audio=samples.astype("<f4").tobytes(),
    )


TOKENS = ("first", "second", "third", "fourth")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A file of tokens: each is a caller."""
    path = tmp_path / "tokens"
    path.write_text("\n".join(TOKENS))
    return path


class Callers:
    """Calls in flight to one server, over one connection or one for each."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._open = ExitStack()
        self._shared = self.connect()
        # gRPC cancels a call that nobody refers to.
        self._calls: list[Any] = []

    def __enter__(self) -> Callers:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def connect(self) -> grpc.Channel:
        """A connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        return self._open.enter_context(grpc.insecure_channel(self._server.address, options))

    def call(
        self,
        samples: np.ndarray,
        channel: grpc.Channel | None = None,
        timeout: float = PATIENCE,
        token: str = "",
    ) -> Any:
        stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel or self._shared)
        call = stub.Recognize.future(
            request(samples),
            timeout=timeout,
            wait_for_ready=True,
            metadata=[("authorization", f"Bearer {token}")] if token else None,
        )
        self._calls.append(call)
        return call

    def occupy(self, token: str = "") -> Any:
        """Returns when the model is busy, with a call that takes it a while."""
        heard = metric(self._server, "audio_seconds_total")
        call = self.call(clip(1, slow=HOLD), token=token)
        wait_until(lambda: metric(self._server, "audio_seconds_total") > heard)
        # Its worker may still hope for others to join it.
        wait_until(lambda: waiting(self._server) == 0)
        return call

    def queue(
        self,
        clips: Sequence[np.ndarray],
        channel: grpc.Channel | None = None,
        tokens: Sequence[str] = ("",),
    ) -> list[Any]:
        """Returns when these calls, with these tokens in turn, wait for the model."""
        before = waiting(self._server)
        calls = [
            self.call(samples, channel, token=token)
            for samples, token in zip(clips, cycle(tokens), strict=False)
        ]
        wait_until(lambda: waiting(self._server) == before + len(clips))
        return calls


def metric(server: RunningServer, name: str, **labels: str) -> float:
    """The sum of a metric over its series that have these labels."""
    with urllib.request.urlopen(server.metrics_url) as reply:
        lines = reply.read().decode().splitlines()
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.partition("{")[0].partition(" ")[0] == f"emotion2vec_{name}"
        and all(label in line for label in wanted)
    )


def waiting(server: RunningServer) -> float:
    return metric(server, "queued_requests")


def rows_run(server: RunningServer) -> float:
    """Clips that the model has had."""
    return metric(server, "queue_seconds_count")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def retry_delay(error: Any) -> float | None:
    """Seconds of an error's RetryInfo."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            found = error_details_pb2.RetryInfo()
            detail.Unpack(found)
            return float(found.retry_delay.ToTimedelta().total_seconds())
    return None


def sizes(calls: Sequence[Any]) -> list[int]:
    return [call.result().metadata.batch_size for call in calls]


def result(reply: service_pb2.RecognizeResponse) -> list[float]:
    return [score.probability for score in reply.result.scores]


# The model fails


def test_a_poisoned_request_fails_alone(server: RunningServer) -> None:
    clips = [clip(1, seed) for seed in range(8)]
    with Callers(server) as callers:
        alone = [result(callers.call(samples).result()) for samples in clips]
        busy = callers.occupy()
        calls = callers.queue([*clips[:7], clip(1, poison=1)])
        *good, poisoned = calls
        # All eight were one batch, which was halved until the poisoned one was alone.
        assert sorted(sizes(good), reverse=True) == [4, 4, 4, 4, 2, 2, 1]
        for call, expected in zip(good, alone, strict=False):
            assert result(call.result()) == pytest.approx(expected, abs=1e-4)
        error = poisoned.exception()
        busy.result()
    assert error.code() is Code.INTERNAL
    assert error.details() == "the model failed on this audio; the server's log says why"
    assert server.log.find("Gather.*out of data bounds")


def test_one_failure_is_no_failing_model(server: RunningServer) -> None:
    with Callers(server) as callers:
        assert callers.call(clip(1, poison=1)).exception().code() is Code.INTERNAL
        callers.call(clip(1)).result()
        stub = health_pb2_grpc.HealthStub(callers.connect())
        assert stub.Check(health_pb2.HealthCheckRequest()).status == SERVING
    assert metric(server, "model_failing") == 0


def test_poison_alone_can_not_take_the_server_out(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch()
    with Callers(server) as callers:
        stub = health_pb2_grpc.HealthStub(callers.connect())
        for _ in range(5):
            assert callers.call(clip(1, poison=1)).exception().code() is Code.INTERNAL
        assert server.log.find("model fails on everything.*faulty.*Gather.*out of data bounds")
        # It tries for itself, and finds that the model works.
        assert server.log.find("model works again")
        assert stub.Check(health_pb2.HealthCheckRequest()).status == SERVING
        callers.call(clip(1)).result()


def test_a_model_that_fails_from_the_first_stops_the_start(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "broken", broken=True)
    with pytest.raises(RuntimeError, match="faulty fails on a second of silence") as raised:
        start_server("--model", str(bundle))
    assert "Traceback" not in str(raised.value)


def test_a_batch_too_large_for_memory_is_split(server: RunningServer) -> None:
    before = metric(server, "rejected_total", reason="out_of_memory")
    with Callers(server) as callers:
        busy = callers.occupy()
        calls = callers.queue([clip(1, seed, hungry=1) for seed in range(8)])
        assert sizes(calls) == [2] * 8
        busy.result()
        error = callers.call(clip(1, greedy=1)).exception()
        assert error.code() is Code.RESOURCE_EXHAUSTED
        assert retry_delay(error) > 0
        assert "memory" in error.details()
        callers.call(clip(1)).result()
    assert metric(server, "rejected_total", reason="out_of_memory") - before == 1


# Callers leave, or have no time


def test_work_that_was_cancelled_never_reaches_the_model(server: RunningServer) -> None:
    with Callers(server) as callers:
        busy = callers.occupy()
        before = rows_run(server)
        left = metric(server, "requests_total", code="CANCELLED")
        calls = callers.queue([clip(1, seed) for seed in range(10)])
        leaving = callers.connect()
        callers.queue([clip(1, seed) for seed in range(10)], channel=leaving)
        assert not busy.done()
        for call in calls:
            call.cancel()
        leaving.close()
        wait_until(lambda: waiting(server) == 0)
        assert not busy.done()
        busy.result()
        callers.call(clip(1)).result()
    assert rows_run(server) - before == 2
    assert metric(server, "requests_total", code="CANCELLED") - left == 20


def test_work_whose_deadline_passes_never_reaches_the_model(server: RunningServer) -> None:
    with Callers(server) as callers:
        busy = callers.occupy()
        before = rows_run(server)
        calls = [callers.call(clip(1, seed), timeout=0.1) for seed in range(10)]
        # A call may be refused at once, where the queue is longer than its time.
        codes = {call.exception().code() for call in calls}
        assert codes <= {Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED}
        busy.result()
        callers.call(clip(1)).result()
    assert rows_run(server) - before == 2


def test_a_deadline_that_passed_on_the_way(server: RunningServer) -> None:
    message = request(clip(0.1)).SerializeToString()
    before = rows_run(server)
    with RawCall(server.address, "Recognize", grpc_timeout="1n") as call:
        call.announce(len(message))
        call.send(message, end=True)
        assert call.status() in (Code.DEADLINE_EXCEEDED.value[0], None)
    with Callers(server) as callers:
        callers.call(clip(1)).result()
    assert rows_run(server) - before == 1


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_a_message_too_large_is_refused_and_said(
    server: RunningServer, compression: grpc.Compression | None
) -> None:
    message = service_pb2.RecognizeRequest(audio=bytes(65 * 2**20))
    with server.channel() as channel:
        stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
        error = stub.Recognize.future(message, compression=compression).exception()
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert "larger than max" in error.details()
    assert server.log.find("refused.*or one that is too large")
    assert not any("unforeseen" in line for line in server.log.lines)


def test_a_message_too_large_that_breaks_off_is_too_large(server: RunningServer) -> None:
    # Now and then, headers and data are read at once.
    for _ in range(30):
        with RawCall(server.address, "Recognize") as call:
            call.send(struct.pack(">BI", 0, 65 * 2**20), end=True)
            assert call.status() == Code.RESOURCE_EXHAUSTED.value[0]


# Too many at once


async def test_512_callers_at_once(server: RunningServer) -> None:
    clips = [clip(0.5, seed) for seed in range(8)]
    with Callers(server) as callers:
        expected = [result(callers.call(samples).result()) for samples in clips]
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
        replies = await asyncio.gather(
            *(stub.Recognize(request(clips[n % 8]), timeout=PATIENCE) for n in range(512))
        )
    for number, reply in enumerate(replies):
        assert result(reply) == pytest.approx(expected[number % 8], abs=1e-4)


def test_a_full_queue_refuses_at_once(launch: Callable[..., RunningServer], tokens: Path) -> None:
    queue = ("--max-queue-size", "4", "--max-queue-seconds", "20")
    server = launch(*queue, "--max-window-seconds", "20", "--token-file", str(tokens))
    with Callers(server) as callers:
        for length, room in ((1, 4), (8, 2)):
            busy = callers.occupy(TOKENS[0])
            callers.queue([clip(length, seed) for seed in range(room)], tokens=TOKENS[1:])
            refused = callers.call(clip(length), token=TOKENS[0]).exception()
            assert not busy.done()
            assert refused.code() is Code.RESOURCE_EXHAUSTED
            assert retry_delay(refused) > 0
            busy.result()
            wait_until(lambda: waiting(server) == 0)
    assert metric(server, "rejected_total", reason="queue_full") == 2


def test_a_full_queue_does_not_even_read_the_request(
    launch: Callable[..., RunningServer], tokens: Path
) -> None:
    server = launch("--max-queue-size", "2", "--token-file", str(tokens))
    with Callers(server) as callers:
        busy = callers.occupy(TOKENS[0])
        callers.queue([clip(1, seed) for seed in range(2)], tokens=TOKENS[1:])
        held = f"Bearer {TOKENS[0]}"
        with RawCall(server.address, "Recognize", authorization=held) as call:
            assert call.status() == Code.RESOURCE_EXHAUSTED.value[0]
        assert not busy.done()
        busy.result()


def test_a_flood_does_not_keep_others_waiting(
    launch: Callable[..., RunningServer], tokens: Path
) -> None:
    """However many connections it comes by."""
    server = launch("--max-batch-size", "4", "--token-file", str(tokens))
    flooder, *others = TOKENS
    with Callers(server) as callers:
        busy = callers.occupy(flooder)
        flood = []
        for _ in range(6):
            clips = [clip(1, seed) for seed in range(10)]
            flood += callers.queue(clips, callers.connect(), tokens=[flooder])
        few = callers.queue([clip(1, seed) for seed in range(3)], tokens=others)
        assert not busy.done()
        latest = max(call.result().metadata.queue_duration.ToMilliseconds() for call in few)
        ahead = [
            call
            for call in flood
            if call.result().metadata.queue_duration.ToMilliseconds() < latest
        ]
        busy.result()
    # Callers with one request each have their turn in the first round or two.
    assert len(ahead) <= 12


async def test_overload(launch: Callable[..., RunningServer]) -> None:
    """Three times what the model can do, for a few seconds."""
    server = launch("--max-batch-size", "4", "--max-queue-size", "16")
    deadline, seconds = 10.0, 3.0
    message = request(clip(4, slow=0.01))
    async with grpc.aio.insecure_channel(server.address) as channel:
        recognize = service_pb2_grpc.EmotionRecognitionServiceStub(channel).Recognize
        rate = 3 * max([await requests_per_second(recognize, message) for _ in range(4)])
        memory = resident(server)
        outcomes: list[tuple[Code, float, float | None]] = []

        async def call() -> None:
            began = time.monotonic()
            try:
                await recognize(message, timeout=deadline)
                code, delay = Code.OK, None
            except grpc.aio.AioRpcError as error:
                code, delay = error.code(), retry_delay(AsCall(error))
            outcomes.append((code, time.monotonic() - began, delay))

        calls = []
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            calls += [asyncio.create_task(call()) for _ in range(int(now * rate) - len(calls))]
            await asyncio.sleep(0.005)
        await asyncio.gather(*calls)
    accepted = [outcome for outcome in outcomes if outcome[2] is None]
    refused = [outcome for outcome in outcomes if outcome[2] is not None]
    assert {code for code, _, _ in accepted} == {Code.OK}
    assert {code for code, _, _ in refused} == {Code.RESOURCE_EXHAUSTED}
    assert min(delay for _, _, delay in refused if delay is not None) > 0
    assert accepted
    assert refused
    # Of a refusal, generously: it waits for no batch.
    assert np.median([took for _, took, _ in refused]) < 1.0
    # Without bounds, the bodies alone (256 KB each) would be more.
    assert resident(server) - memory < 64 * 2**20


async def requests_per_second(recognize: Any, message: Any) -> float:
    """Requests a second of one full batch; the best of several is near the model's capacity."""
    began = time.monotonic()
    await asyncio.gather(*(recognize(message) for _ in range(4)))
    return 4 / (time.monotonic() - began)


class AsCall:
    """What rpc_status asks of a call, of an error of grpc.aio."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self._error = error

    def trailing_metadata(self) -> Any:
        return self._error.trailing_metadata()

    def code(self) -> Code:
        return self._error.code()

    def details(self) -> str | None:
        return self._error.details()


def resident(server: RunningServer) -> int:
    """The most memory that a server has had, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


# Callers who misbehave


def test_slow_readers_hold_nobody_up(server: RunningServer) -> None:
    asked = request(clip(0.5))
    asked.config.return_frame_embeddings = True
    message = asked.SerializeToString()
    answered = metric(server, "requests_total", code="OK")
    with ExitStack() as slow:
        for _ in range(20):
            call = slow.enter_context(RawCall(server.address, "Recognize", window=0))
            call.announce(len(message))
            for start in range(0, len(message), 16_000):
                call.send(message[start : start + 16_000])
            call.send(b"", end=True)
        wait_until(lambda: metric(server, "requests_total", code="OK") == answered + 20)
        with Callers(server) as callers:
            assert len(sizes([callers.call(clip(1, seed)) for seed in range(20)])) == 20


def test_stalled_uploads_are_bounded_in_number_and_time(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch("--max-uploads", "3", "--max-upload-seconds", "4")
    with ExitStack() as opened:
        stalled = [opened.enter_context(RawCall(server.address, "Recognize")) for _ in range(4)]
        for call in stalled:
            call.announce(100_000)
            call.send(bytes(1000))
        ends = sorted(call.status() or 0 for call in stalled)
    late, refused = Code.DEADLINE_EXCEEDED.value[0], Code.RESOURCE_EXHAUSTED.value[0]
    assert ends == [late, late, late, refused]
    with Callers(server) as callers:
        callers.call(clip(1)).result()


def test_an_upload_that_breaks_off_leaves_nothing(launch: Callable[..., RunningServer]) -> None:
    server = launch("--max-uploads", "1")
    with Callers(server) as callers:
        for _ in range(3):
            with RawCall(server.address, "Recognize") as call:
                call.announce(100_000)
                call.send(bytes(1000))
            wait_until(lambda: callers.call(clip(1)).exception() is None)


def test_too_large_a_message_is_refused_by_its_head(server: RunningServer) -> None:
    with RawCall(server.address, "Recognize") as call:
        call.send(struct.pack(">BI", 0, 2**30) + bytes(100))
        assert call.status() == Code.RESOURCE_EXHAUSTED.value[0]


def test_a_call_without_a_request(server: RunningServer) -> None:
    with RawCall(server.address, "Recognize") as call:
        call.send(b"", end=True)
        assert call.status() == Code.INVALID_ARGUMENT.value[0]
