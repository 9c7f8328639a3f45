"""Bytes to 16 kHz mono: whole recordings (`decode`) and live audio (`StreamDecoder`).

The only package that knows containers, codecs and resamplers.
"""

from emotion2vec_runtime.audio.decode import DecodedAudio, decode
from emotion2vec_runtime.audio.level import Level
from emotion2vec_runtime.audio.loss import Loss, LossKind
from emotion2vec_runtime.audio.mix import Mix
from emotion2vec_runtime.audio.recording import RecordingDecoder
from emotion2vec_runtime.audio.spec import SAMPLE_RATE, AudioSpec, Encoding
from emotion2vec_runtime.audio.stream import StreamDecoder
from emotion2vec_runtime.audio.workers.pool import decoder_counts, start_decoders
from emotion2vec_runtime.audio.workspace import Workspace

__all__ = [
    "SAMPLE_RATE",
    "AudioSpec",
    "DecodedAudio",
    "Encoding",
    "Level",
    "Loss",
    "LossKind",
    "Mix",
    "RecordingDecoder",
    "StreamDecoder",
    "Workspace",
    "decode",
    "decoder_counts",
    "start_decoders",
]
