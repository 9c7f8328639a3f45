"""The load generator counts what happens, and only while it should."""

from __future__ import annotations

import asyncio
import os
import time

import numpy as np
import pytest

from benchmarks.loadgen import Job, Load
from benchmarks.process import cpu_seconds, family, peak_resident_bytes
from benchmarks.targets import Answer, CallError, HttpTarget

SCORES = np.full(9, 1 / 9, dtype=np.float32)


class Fake:
    """Answers after a while; every third call fails."""

    def __init__(self, seconds: float, fail_every: int = 0) -> None:
        self.calls, self.most, self._now = 0, 0, 0
        self._seconds, self._fail_every = seconds, fail_every

    async def call(self, clip: int) -> Answer:
        self.calls += 1
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(self._seconds)
        self._now -= 1
        if self._fail_every and self.calls % self._fail_every == 0:
            raise CallError("RESOURCE_EXHAUSTED")
        return Answer(SCORES, batch_size=2, queue_seconds=0.1, inference_seconds=0.2)

    async def close(self) -> None: ...


def job(**changes: float) -> Job:
    fields = {"seconds": 0.3, "warmup": 0.1, **changes}
    return Job("fake", "", os.getpid(), **fields)  # type: ignore[arg-type]


async def test_a_closed_loop_keeps_its_callers_busy_and_no_more() -> None:
    target = Fake(0.005)
    outcome = await Load(job(callers=3), target, [2.0, 4.0]).run()
    assert target.most == 3
    assert 0 < len(outcome.latencies) < target.calls  # the warm-up does not count
    assert min(outcome.latencies) >= 0.005
    assert outcome.audio_seconds == pytest.approx(3 * len(outcome.latencies), abs=4)
    assert outcome.errors == {}
    assert set(outcome.batch_sizes) == {2}


async def test_an_open_loop_does_not_wait_for_answers() -> None:
    target = Fake(0.2)
    await Load(job(rate=100), target, [1.0]).run()
    assert target.most > 5


async def test_a_stall_counts_from_the_planned_arrival() -> None:
    class Stalled(Fake):
        async def call(self, clip: int) -> Answer:
            if not self.calls:
                # The whole process stands still, as a garbage collection would make it.
                time.sleep(0.25)  # noqa: ASYNC251 - that is the point
            return await super().call(clip)

    outcome = await Load(job(rate=200, warmup=0.0, seconds=0.5), Stalled(0.0), [1.0]).run()
    late = [seconds for seconds in outcome.latencies if seconds > 0.05]
    assert len(late) > 10  # not only the one call that stalled


async def test_errors_are_counted_by_kind() -> None:
    outcome = await Load(job(callers=2), Fake(0.001, fail_every=3), [1.0]).run()
    assert outcome.errors.keys() == {"RESOURCE_EXHAUSTED"}
    took = outcome.failed_after["RESOURCE_EXHAUSTED"]
    assert len(took) == outcome.errors["RESOURCE_EXHAUSTED"] > 0
    assert min(took) >= 0.001


async def test_a_server_that_hangs_is_counted_and_left() -> None:
    outcome = await Load(job(callers=2, timeout=0.05), Fake(60), [1.0]).run()
    assert outcome.errors.keys() == {"timeout"}


async def test_a_server_that_hangs_for_longer_than_it_is_measured_is_counted() -> None:
    outcome = await Load(job(callers=2, timeout=1.0), Fake(60), [1.0]).run()
    assert outcome.errors == {"timeout": 2}
    assert min(outcome.failed_after["timeout"]) > 0.9


async def test_http_answers_and_refusals() -> None:
    def read(body: bytes) -> Answer:
        return Answer(np.frombuffer(body, np.float32))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
            refused = await reader.readexactly(length) == b"bad"
            body = b"no" if refused else SCORES.tobytes()
            status = b"503 Busy" if refused else b"200 OK"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        target = HttpTarget(f"{host}:{port}", "/", [b"good", b"bad"], read)
        np.testing.assert_array_equal((await target.call(0)).scores, SCORES)
        with pytest.raises(CallError, match="HTTP 503"):
            await target.call(1)
        np.testing.assert_array_equal((await target.call(0)).scores, SCORES)
        await target.close()
        server.close()


def test_a_process_is_seen_with_what_it_costs() -> None:
    pid = os.getpid()
    assert family(pid)[0] == pid
    before = cpu_seconds(pid)
    assert before > 0
    assert peak_resident_bytes(pid) > 10 * 2**20
