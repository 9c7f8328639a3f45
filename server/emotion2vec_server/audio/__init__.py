"""Bytes to 16 kHz mono float32: whole recordings (`decode`) and live audio (`StreamDecoder`).

The only package that knows containers, codecs and resamplers.
"""

from emotion2vec_server.audio.decode import DecodedAudio, decode
from emotion2vec_server.audio.level import Level
from emotion2vec_server.audio.spec import SAMPLE_RATE, AudioSpec, Encoding
from emotion2vec_server.audio.stream import StreamDecoder

__all__ = [
    "SAMPLE_RATE",
    "AudioSpec",
    "DecodedAudio",
    "Encoding",
    "Level",
    "StreamDecoder",
    "decode",
]
