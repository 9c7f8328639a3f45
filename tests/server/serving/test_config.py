"""What a caller may ask of a model, whichever door it came by."""

from __future__ import annotations

from typing import cast

import pytest
from emotion2vec_runtime.bundle import Label, Manifest
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_server.serving.config import Granularity, RecognitionConfig
from emotion2vec_server.serving.served_model import ServedModel


class Model:
    def __init__(self, *labels: str) -> None:
        self.manifest = Manifest.model_construct(
            name="m", labels=tuple(Label(name=name) for name in labels)
        )
        self.classes = Classes(self.manifest.labels)


CLASSIFIER = cast(ServedModel, Model("angry", "sad"))
HEADLESS = cast(ServedModel, Model())


@pytest.mark.parametrize("asked", [None, Granularity.UTTERANCE, Granularity.FRAME])
@pytest.mark.parametrize("default", [Granularity.UTTERANCE, Granularity.FRAME])
def test_granularity(asked: Granularity | None, default: Granularity) -> None:
    options = RecognitionConfig(granularity=asked).options(CLASSIFIER, default)
    assert options.frames == ((asked or default) is Granularity.FRAME)


def test_labels() -> None:
    options = RecognitionConfig(allowed_labels=("sad",)).options(CLASSIFIER, Granularity.FRAME)
    assert options.classes.names == ("sad",)
    with pytest.raises(InvalidRequestError, match="unknown label 'glad'") as error:
        RecognitionConfig(allowed_labels=("glad",)).options(CLASSIFIER, Granularity.FRAME)
    assert error.value.field == "config.allowed_labels"


def test_a_model_without_a_classifier_gives_its_embedding() -> None:
    options = RecognitionConfig().options(HEADLESS, Granularity.FRAME)
    assert (options.embedding, options.frames) == (True, False)
    with pytest.raises(InvalidRequestError, match="no classifier"):
        RecognitionConfig(granularity=Granularity.FRAME).options(HEADLESS, Granularity.UTTERANCE)
