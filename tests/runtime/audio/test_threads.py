"""Decoders as threads, as they are where processes can't be forked: macOS, Windows."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from emotion2vec_runtime.audio import (
    AudioSpec,
    DecodedAudio,
    Encoding,
    RecordingDecoder,
    StreamDecoder,
    decode,
)
from emotion2vec_runtime.audio.workers import pool
from emotion2vec_runtime.errors import InvalidRequestError

from tests.runtime.audio.conftest import floats
from tests.runtime.audio.media import encode, speech

DETECT = AudioSpec(Encoding.DETECT)
FILES = {
    "mp3": encode(speech("sad"), "mp3", "libmp3lame"),
    "webm": encode(speech("sad"), "webm", "libopus", 48000, {"live": "1"}),
    "m4a": encode(speech("sad"), "ipod", "aac"),
}


@pytest.fixture
def expected() -> dict[str, DecodedAudio]:
    return {name: decode(data, DETECT, 10) for name, data in FILES.items()}


@pytest.fixture
def threads(
    expected: dict[str, DecodedAudio], monkeypatch: pytest.MonkeyPatch
) -> Iterator[pool.Pool]:
    """In place of the processes that made what is expected."""
    monkeypatch.setattr(pool, "IS_ISOLATED", False)
    own = pool.Pool(size=1)
    for module in ("decode", "readers"):
        monkeypatch.setattr(sys.modules[f"emotion2vec_runtime.audio.{module}"], "POOL", own)
    yield own
    own.close()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", FILES)
def test_threads_hear_the_same(expected: dict[str, DecodedAudio], name: str) -> None:
    np.testing.assert_array_equal(floats(decode(FILES[name], DETECT, 10)), floats(expected[name]))
    with pytest.raises(InvalidRequestError):
        decode(FILES[name][:40], DETECT, 10)
    with RecordingDecoder(DETECT) as decoder:
        data = FILES[name]
        parts = [decoder.push(data[at : at + 500]) for at in range(0, len(data), 500)]
        parts.append(decoder.finish())
    np.testing.assert_array_equal(np.concatenate(parts, axis=1)[0], floats(expected[name]))


@pytest.mark.usefixtures("threads")
def test_a_stream_that_is_given_up_leaves_no_thread() -> None:
    stream = StreamDecoder(DETECT)
    stream.push(FILES["webm"][:3000])
    (thread,) = (t for t in threading.enumerate() if t.name == "decoder")
    stream.close()
    thread.join(60)
    assert not thread.is_alive()
