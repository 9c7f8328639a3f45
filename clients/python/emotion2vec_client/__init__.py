"""Client of emotion2vec-server: speech emotion recognition over gRPC.

from emotion2vec_client import Client

with Client("127.0.0.1:50051") as client:
    print(client.recognize("speech.wav").emotion)
"""

from emotion2vec_client import verbosity  # noqa: F401, before anything imports gRPC
from emotion2vec_client.aio import AsyncClient
from emotion2vec_client.client import Client
from emotion2vec_client.errors import (
    DeadlineExceededError,
    InvalidAudioError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RecognitionError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from emotion2vec_client.events import (
    END_UTTERANCE,
    KEEP_ALIVE,
    AlertRule,
    EndOfUtterance,
    SpeechEdge,
    StreamAlert,
    StreamEvent,
    StreamFinal,
    StreamFrames,
    StreamInterim,
    StreamSpeech,
    StreamStarted,
    StreamWarning,
    UtteranceEnd,
)
from emotion2vec_client.results import (
    AudioLoss,
    Emotion,
    EmotionScore,
    Frames,
    Health,
    Label,
    Metadata,
    Model,
    Recognition,
    RecognitionWarning,
    RecordingPart,
    Segment,
    WarningCode,
)
from emotion2vec_client.retry import NO_RETRY, RetryPolicy

__all__ = [
    "END_UTTERANCE",
    "KEEP_ALIVE",
    "NO_RETRY",
    "AlertRule",
    "AsyncClient",
    "AudioLoss",
    "Client",
    "DeadlineExceededError",
    "Emotion",
    "EmotionScore",
    "EndOfUtterance",
    "Frames",
    "Health",
    "InvalidAudioError",
    "InvalidRequestError",
    "Label",
    "Metadata",
    "Model",
    "NotFoundError",
    "OverloadedError",
    "Recognition",
    "RecognitionError",
    "RecognitionWarning",
    "RecordingPart",
    "RetryPolicy",
    "Segment",
    "SpeechEdge",
    "StreamAlert",
    "StreamEvent",
    "StreamFinal",
    "StreamFrames",
    "StreamInterim",
    "StreamSpeech",
    "StreamStarted",
    "StreamWarning",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "UtteranceEnd",
    "WarningCode",
]
