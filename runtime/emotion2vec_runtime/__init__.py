"""Speech emotion recognition with emotion2vec models, in one process and without a network.

from emotion2vec_runtime import load

result = load("models/plus_large").recognize("call.mp3")
print(result.emotion.label, result.emotion.scores)
"""

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
