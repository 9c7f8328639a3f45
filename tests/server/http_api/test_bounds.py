"""What an answer may hold: its size follows the recording, and memory is everybody's."""

from __future__ import annotations

from contextlib import ExitStack, closing
from types import SimpleNamespace

import numpy as np
import pytest
from emotion2vec_runtime.recognition.long_audio import Part
from emotion2vec_runtime.recognition.result import Options, Result
from emotion2vec_server.errors import OverloadedError
from emotion2vec_server.http_api.collected import Collected, Shelf
from emotion2vec_server.http_api.forms import check_fits_json
from emotion2vec_server.http_api.problem import HttpError
from emotion2vec_server.serving.long_recordings import OpenRecording
from emotion2vec_server.serving.track import PartOfTrack

MINUTE = 60 * 16000


def opened(**asked: bool) -> OpenRecording:
    model = SimpleNamespace(manifest=SimpleNamespace(sample_rate=16000))
    options = Options(classes=None, frames=False, embedding=False, **asked)  # type: ignore[arg-type]
    return OpenRecording("", model, options, None)  # type: ignore[arg-type]


def minute(number: int) -> PartOfTrack:
    # Untouched zeros take no memory.
    part = Part(number * MINUTE, (number + 1) * MINUTE, number * 3000, None, None, None)
    return PartOfTrack(0, part, np.zeros(MINUTE, np.float32))


def add(collected: Collected, minutes: int, recording: OpenRecording) -> None:
    for number in range(minutes):
        collected.add(recording, minute(number))


def test_one_answer_holds_an_hour_of_audio_and_not_twelve() -> None:
    add(Collected(Shelf()), 60, opened(processed_audio=True))
    with pytest.raises(HttpError, match="x-ndjson") as refused:
        add(Collected(Shelf()), 12 * 60, opened(processed_audio=True))
    assert refused.value.http_status == 413


def test_what_nobody_asked_for_is_not_kept() -> None:
    add(Collected(Shelf()), 12 * 60, opened())


def test_all_answers_share_what_there_is() -> None:
    shelf, recording = Shelf(), opened(processed_audio=True)
    with ExitStack() as answers:
        for _ in range(4):
            add(answers.enter_context(closing(Collected(shelf))), 60, recording)
        with pytest.raises(OverloadedError), closing(Collected(shelf)) as one_more:
            add(one_more, 60, recording)
    add(Collected(shelf), 60, recording)


def test_json_is_for_what_is_short() -> None:
    def result(frames: int) -> Result:
        embeddings = np.zeros((frames, 1024), np.float32)
        return Result(frames / 50, None, None, None, embeddings, (), None, ())

    check_fits_json(result(60 * 50))
    with pytest.raises(HttpError, match="application/zip") as refused:
        check_fits_json(result(300 * 50))
    assert refused.value.http_status == 413
