"""The emotion of each user turn in a LiveKit agent, by emotion2vec-server."""

from emotion2vec_livekit.emotion import UserEmotion
from emotion2vec_livekit.stt import EmotionSTT

__all__ = ["EmotionSTT", "UserEmotion"]
