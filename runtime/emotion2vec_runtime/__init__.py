"""Speech emotion recognition with emotion2vec models, in one process and without a network.

from emotion2vec_runtime import load

result = load("models/plus_large").recognize("call.mp3")
print(result.emotion.label, result.emotion.scores)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion2vec_runtime.recognition.emotion import Classes, Emotion
    from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE, Recognizer, load
    from emotion2vec_runtime.recognition.result import EmotionSegment, Result
    from emotion2vec_runtime.recognition.warnings import RecognitionWarning, WarningCode

__all__ = [
    "DEMO_BUNDLE",
    "Classes",
    "Emotion",
    "EmotionSegment",
    "RecognitionWarning",
    "Recognizer",
    "Result",
    "WarningCode",
    "load",
]

_MODULES = {
    "Classes": "emotion",
    "DEMO_BUNDLE": "recognizer",
    "Emotion": "emotion",
    "EmotionSegment": "result",
    "RecognitionWarning": "warnings",
    "Recognizer": "recognizer",
    "Result": "result",
    "WarningCode": "warnings",
    "load": "recognizer",
}


def __getattr__(name: str) -> object:
    """Loads what is asked for: a decoder process needs none of it, and starts in half the time."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.recognition.{_MODULES[name]}"), name)
