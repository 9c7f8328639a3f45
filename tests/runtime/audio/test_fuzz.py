"""Ten thousand spoiled recordings; `scripts/fuzz_audio.py` runs as many as one likes."""

from __future__ import annotations

import numpy as np
from emotion2vec_runtime.audio import AudioSpec, Encoding, decode
from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError

from tests.runtime.audio.conftest import floats
from tests.runtime.audio.mutations import Mutator, seeds

COUNT = 10_000


def test_spoiled_recordings_give_audio_or_a_clear_error() -> None:
    mutator = Mutator(seeds(0.15), seed=1)
    heard = 0
    for _ in range(COUNT):
        name, data = mutator.next()
        try:
            audio = decode(data, AudioSpec(Encoding.DETECT), 5)
        except InvalidRequestError as error:
            assert error.field == "audio", name  # noqa: PT017
            assert "made its decoder fail" not in str(error), name  # noqa: PT017
        except TooLargeError:
            pass
        else:
            heard += 1
            assert floats(audio).size, name
            assert np.isfinite(floats(audio)).all(), name
    assert COUNT // 3 < heard < COUNT
