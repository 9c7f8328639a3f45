from __future__ import annotations

import numpy as np
from emotion2vec_server.streaming.sample_buffer import SampleBuffer
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.tuples(st.integers(0, 40_000), st.floats(0, 1)), max_size=20))
def test_keeps_what_was_not_forgotten(steps: list[tuple[int, float]]) -> None:
    buffer = SampleBuffer()
    begin = end = 0
    for count, share in steps:
        buffer.append(np.arange(end, end + count, dtype=np.float32))
        end += count
        begin = max(begin, round(share * end))
        buffer.forget(begin)
        assert buffer.end == end
        np.testing.assert_array_equal(buffer.view(begin, end), np.arange(begin, end))


def test_memory_follows_what_is_kept() -> None:
    buffer = SampleBuffer()
    for _ in range(1000):
        buffer.append(np.zeros(5000, dtype=np.float32))
        buffer.forget(buffer.end - 20_000)
    assert len(buffer._store) <= 4 * 25_000
