"""The emotion of each user turn in a Pipecat agent, by emotion2vec-server."""

from emotion2vec_pipecat.classifier import EmotionClassifier
from emotion2vec_pipecat.frames import UserEmotionFrame
from emotion2vec_pipecat.processor import EmotionProcessor

__all__ = ["EmotionClassifier", "EmotionProcessor", "UserEmotionFrame"]
