"""Bytes to 16 kHz mono: whole recordings (`decode`) and live audio (`StreamDecoder`).

The only package that knows containers, codecs and resamplers.
"""

from emotion2vec_server.audio.decode import DecodedAudio, decode
from emotion2vec_server.audio.level import Level
from emotion2vec_server.audio.samples import Float32, Int16, Samples
from emotion2vec_server.audio.spec import SAMPLE_RATE, AudioSpec, Encoding
from emotion2vec_server.audio.stream import StreamDecoder
from emotion2vec_server.audio.workspace import Workspace

__all__ = [
    "SAMPLE_RATE",
    "AudioSpec",
    "DecodedAudio",
    "Encoding",
    "Float32",
    "Int16",
    "Level",
    "Samples",
    "StreamDecoder",
    "Workspace",
    "decode",
]
