"""The streams benchmark counts each frame once, from when it was due, and finds what holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from emotion2vec.v1 import recognition_pb2, service_pb2
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import plots, streamgen
from benchmarks.arrivals import Percentiles
from benchmarks.delays import CHUNK, FRAME_FIELD, FRAME_HOP, FrameDelays, StreamError, needed_chunk
from benchmarks.streamgen import METHOD, Crowd, Job, Outcome
from benchmarks.streams import Step, Streams, search, settle
from benchmarks.streams_report import streams_section

EVER = (0.0, 1e9)


@given(frame=st.integers(0, 10_000), lookahead=st.integers(0, 100))
def test_a_frame_is_due_with_the_chunk_that_completes_it(frame: int, lookahead: int) -> None:
    # As the server counts: so many samples make frame + lookahead + 1 frames, one less does not.
    samples = (frame + lookahead) * FRAME_HOP + FRAME_FIELD
    chunk = needed_chunk(frame, lookahead)
    assert chunk * CHUNK < samples <= (chunk + 1) * CHUNK


def test_delays_count_from_the_chunk_and_turnarounds_from_the_newest_frame() -> None:
    frames = FrameDelays(10.0, lookahead=20, counted=EVER)
    # Frame 0 needs 20 * 320 + 400 = 6800 samples: chunk 4, sent at 10.4 s. Frame 24 needs 14480:
    # chunk 9, sent at 10.9 s.
    frames.came(0, 25, now=11.0)
    assert frames.delays[0] == pytest.approx(0.6)
    assert frames.delays[-1] == pytest.approx(0.1)
    assert frames.turnarounds == [pytest.approx(0.1)]


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    begin=st.floats(0, 10),
    length=st.floats(0.1, 10),
    lookahead=st.integers(0, 50),
)
def test_each_frame_that_falls_due_counts_once(
    sizes: list[int], begin: float, length: float, lookahead: int
) -> None:
    frames = FrameDelays(0.0, lookahead, (begin, begin + length))
    first = 0
    for size in sizes:
        frames.came(first, size, now=100.0)
        first += size
    frames.give_up(now=100.0)
    due = [frames.due(frame) for frame in range(max(first, 2000))]
    expected = [100.0 - moment for moment in due if begin <= moment < begin + length]
    assert frames.delays == pytest.approx(expected)
    assert frames.is_complete


def test_frames_that_never_came_count_with_their_delay_so_far() -> None:
    frames = FrameDelays(0.0, lookahead=0, counted=(0.0, 2.0))
    frames.came(0, 5, now=0.5)
    assert not frames.is_complete
    frames.give_up(now=1.05)
    # Up to chunk 10, due at 1.0 s; what was due later is not overdue.
    assert max(frames.delays) > 0.9
    assert min(frames.delays) == pytest.approx(0.05)
    assert len(frames.delays) == next(k for k in range(1000) if needed_chunk(k, 0) > 10)


@pytest.mark.parametrize(("first", "count"), [(26, 1), (24, 25), (25, 0)])
def test_a_gap_or_a_repetition_is_an_error(first: int, count: int) -> None:
    frames = FrameDelays(0.0, 0, EVER)
    frames.came(0, 25, now=1.0)
    with pytest.raises(StreamError, match="25 was next"):
        frames.came(first, count, now=1.0)


@given(
    capacity=st.integers(0, 300),
    first=st.integers(1, 64),
    most=st.integers(1, 256),
    halvings=st.integers(0, 9),
)
def test_the_search_brackets_the_capacity(
    capacity: int, first: int, most: int, halvings: int
) -> None:
    tried: list[int] = []

    def holds(streams: int) -> bool:
        tried.append(streams)
        return streams <= capacity

    found = search(holds, first, most, halvings)
    assert len(tried) == len(set(tried))
    assert all(1 <= streams <= most for streams in tried)
    assert found <= capacity
    assert found in tried or found == 0
    if capacity >= most:
        assert found == most


@pytest.mark.parametrize("capacity", range(40))
def test_enough_halvings_find_the_capacity(capacity: int) -> None:
    assert search(lambda streams: streams <= capacity, 8, 32, halvings=6) == min(capacity, 32)


OUTCOME = Outcome(
    seconds=5.0,
    delays=[0.1, 0.2, 0.3, 0.4],
    turnarounds=[0.1],
    server_cpu_seconds=2.0,
    client_cpu_seconds=0.5,
    metrics={
        'emotion2vec_batch_size_sum{model="demo"}': 80.0,
        'emotion2vec_batch_size_count{model="demo"}': 20.0,
    },
)
STEP = Step.of("demo", True, 16, OUTCOME)


def test_cpu_is_for_a_second_of_one_stream() -> None:
    assert STEP.server_cpu == pytest.approx(25.0)
    assert STEP.client_cpu == pytest.approx(6.25)
    assert STEP.batch == pytest.approx(4.0)
    assert STEP.holds


@pytest.mark.parametrize(
    "outcome",
    [
        replace(OUTCOME, delays=[0.1, 1.0]),
        replace(OUTCOME, degraded=1),
        replace(OUTCOME, errors={"UNAVAILABLE": 1}),
        replace(OUTCOME, delays=[]),
    ],
)
def test_what_does_not_hold(outcome: Outcome) -> None:
    assert not Step.of("demo", True, 16, outcome).holds


@pytest.mark.parametrize(
    ("tries", "taken"), [("yy", 1), ("nn", 1), ("yny", 2), ("ynn", 2), ("nyy", 2), ("nyn", 2)]
)
def test_two_of_three_tries_settle_it(tries: str, taken: int) -> None:
    steps = [
        replace(STEP, degraded=int(outcome == "n"), client_cpu=float(number))
        for number, outcome in enumerate(tries)
    ]
    attempts = iter(steps)
    assert settle(lambda: next(attempts)) == steps[taken]
    assert next(attempts, None) is None


def result() -> Streams:
    late = replace(STEP, delay=Percentiles(0.8, 1.5, 2.0, 3.0), degraded=3)
    steps = [
        replace(STEP, streams=16),
        replace(late, streams=64),
        replace(STEP, streams=32),
        replace(late, streams=16, incremental=False),
        replace(late, model="large", streams=1),
    ]
    return Streams(steps, 3.0, 0.5, 0.4)


def test_the_largest_that_holds_and_none() -> None:
    best = result().largest("demo", True)
    assert best is not None
    assert best.streams == 32
    assert result().largest("demo", False) is None
    assert [step.streams for step in result().of("demo", True)] == [16, 32, 64]


def test_the_report_says_what_holds_and_what_not(tmp_path: Path) -> None:
    text = streams_section(result(), plots.streams(result(), tmp_path))
    assert "3 s window, 0.5 s hop, 0.4 s lookahead" in text
    assert "| demo, steps | 32 | 64 | 25.0 | 4.0 |" in text
    assert "| large, steps | 0 | 1 |  |  |" in text
    assert (tmp_path / "streams.png").stat().st_size > 10_000
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


class Server:
    """Frames of 20 ms: after each chunk those that it completes; `gap` leaves one message out."""

    def __init__(self, gap: bool = False, degraded: bool = False) -> None:
        self._gap, self._degraded = gap, degraded
        self.audio: list[list[bytes]] = []

    async def handle(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        heard: list[bytes] = []
        self.audio.append(heard)
        sent = 0
        async for data in requests:
            request = service_pb2.StreamRecognizeRequest.FromString(data)
            reply = service_pb2.StreamRecognizeResponse()
            if request.HasField("config"):
                for name, millis in (("window", 3000), ("hop", 20), ("lookahead", 40)):
                    getattr(reply.started, name).FromMilliseconds(millis)
                reply.started.frame_hop.FromMilliseconds(20)
                await context.write(reply.SerializeToString())
                continue
            heard.append(request.audio)
            final = (len(heard) * CHUNK - FRAME_FIELD) // FRAME_HOP + 1 - 2
            reply.frames.first_frame_index = sent
            reply.frames.frame_count = final - sent
            reply.frames.is_final = True
            sent = final
            if not (self._gap and len(heard) == 3):
                await context.write(reply.SerializeToString())
            if self._degraded and len(heard) == 2:
                warning = service_pb2.StreamRecognizeResponse()
                warning.warning.code = recognition_pb2.WARNING_CODE_DEGRADED
                await context.write(warning.SerializeToString())


async def crowd(server: Server, streams: int, **changes: float) -> Outcome:
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
        server.handle
    )
    service, method = METHOD.strip("/").split("/")
    grpc_server = grpc.aio.server()
    grpc_server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    fields = {"seconds": 0.5, "warmup": 0.1, "patience": 5.0, **changes}
    job = Job(f"127.0.0.1:{port}", os.getpid(), streams, **fields)  # type: ignore[arg-type]
    playing = Crowd(job)
    try:
        return await playing.run()
    finally:
        await playing.close()
        await grpc_server.stop(None)


@pytest.fixture(autouse=True)
def _all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamgen, "STAGGER_SECONDS", 0.2)


async def test_a_crowd_plays_speech_and_counts_every_frame() -> None:
    server = Server()
    outcome = await crowd(server, streams=3)
    assert outcome.errors == {}
    assert (outcome.window, outcome.hop, outcome.lookahead) == (3.0, 0.02, 0.04)
    # 0.5 s of 5 frames a chunk, give or take a chunk at the edges.
    assert len(outcome.delays) == pytest.approx(3 * 25, abs=3 * 5)
    assert min(outcome.delays) > 0
    assert outcome.degraded == 0
    assert outcome.client_cpu_seconds > 0
    sent = [b"".join(chunks) for chunks in server.audio]
    assert {len(chunk) for chunks in server.audio for chunk in chunks} == {2 * CHUNK}
    assert len({data[: 10 * CHUNK] for data in sent}) == 3  # each says something else
    assert all(np.frombuffer(data, dtype=np.int16).any() for data in sent)


async def test_a_crowd_hears_that_it_is_degraded() -> None:
    assert (await crowd(Server(degraded=True), streams=2)).degraded == 2


async def test_frames_left_out_are_an_error() -> None:
    outcome = await crowd(Server(gap=True), streams=2)
    assert sum(outcome.errors.values()) == 2
    assert all("was next" in kind for kind in outcome.errors)


async def test_a_server_that_refuses_is_an_error() -> None:
    class Full(Server):
        async def handle(
            self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
        ) -> None:
            await anext(requests)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")

    outcome = await crowd(Full(), streams=2, seconds=0.1)
    assert outcome.errors == {"RESOURCE_EXHAUSTED": 2}
    assert outcome.delays == []


async def test_a_silent_server_is_given_up() -> None:
    class Silent(Server):
        async def handle(
            self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
        ) -> None:
            first = True
            async for _ in requests:
                if first:
                    reply = service_pb2.StreamRecognizeResponse()
                    reply.started.frame_hop.FromMilliseconds(20)
                    await context.write(reply.SerializeToString())
                first = False
                await asyncio.sleep(0)

    outcome = await crowd(Silent(), streams=1, patience=0.2)
    assert len(outcome.delays) == pytest.approx(25, abs=5)
    assert min(outcome.delays) > 0.15
