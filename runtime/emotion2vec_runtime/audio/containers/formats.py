"""The containers that are read, the decoders that may be opened: the one list of them."""

from __future__ import annotations

from enum import Enum
from typing import Final

from emotion2vec_runtime.audio.spec import Encoding


class Format(Enum):
    """A container. The value is (what people call it, FFmpeg's demuxer)."""

    WAV = ("WAV", "wav")
    FLAC = ("FLAC", "flac")
    MP3 = ("MP3", "mp3")
    OGG = ("Ogg", "ogg")
    MP4 = ("MP4", "mov")
    ADTS = ("AAC (ADTS)", "aac")
    LATM = ("AAC (LATM)", "loas")
    MATROSKA = ("WebM/Matroska", "matroska")
    AIFF = ("AIFF", "aiff")
    CAF = ("CAF", "caf")
    AU = ("AU", "au")
    W64 = ("Wave64", "w64")
    ASF = ("WMA (ASF)", "asf")
    AMR = ("AMR", "amr")
    AC3 = ("AC-3", "ac3")
    EAC3 = ("E-AC-3", "eac3")
    AVI = ("AVI", "avi")
    FLV = ("FLV", "flv")
    MPEG_TS = ("MPEG transport stream", "mpegts")
    MPEG_PS = ("MPEG program stream", "mpeg")
    WAVPACK = ("WavPack", "wv")
    TTA = ("True Audio", "tta")
    VOC = ("VOC", "voc")

    @property
    def title(self) -> str:
        return self.value[0]

    @property
    def demuxer(self) -> str:
        return self.value[1]

    @property
    def encoding(self) -> Encoding:
        """Its name on the wire; DETECT for one that has none and is found by its bytes alone."""
        return _ENCODINGS.get(self, Encoding.DETECT)

    @property
    def states_length(self) -> bool:
        """Whether the length that FFmpeg tells is the file's own word, and not an estimate."""
        return self in _STATES_LENGTH

    @property
    def must_be_whole(self) -> bool:
        """Whether it can't be read from front to back, as it arrives."""
        return self in _MUST_BE_WHOLE


_ENCODINGS: Final = {
    Format.WAV: Encoding.WAV,
    Format.FLAC: Encoding.FLAC,
    Format.MP3: Encoding.MP3,
    Format.OGG: Encoding.OGG,
    Format.MP4: Encoding.M4A,
    Format.ADTS: Encoding.M4A,
    Format.LATM: Encoding.M4A,
}
_STATES_LENGTH: Final = frozenset(
    {
        Format.WAV, Format.FLAC, Format.MP4, Format.MATROSKA, Format.AIFF, Format.CAF, Format.AU,
        Format.W64, Format.ASF, Format.AVI, Format.WAVPACK, Format.TTA,
    }
)  # fmt: skip
_MUST_BE_WHOLE: Final = frozenset({Format.CAF, Format.AVI, Format.MPEG_PS, Format.TTA})

DECODERS: Final = frozenset(
    {
        "aac", "aac_latm", "ac3", "adpcm_g722", "adpcm_g726", "adpcm_g726le", "adpcm_ima_qt",
        "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha", "alac", "amrnb", "amrwb", "eac3",
        "flac", "g723_1", "g729", "gsm", "gsm_ms", "libopus", "mp1", "mp1float", "mp2",
        "mp2float", "mp3", "mp3float", "nellymoser", "opus", "pcm_alaw", "pcm_bluray", "pcm_dvd",
        "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le",
        "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_s8", "pcm_u8", "speex", "tta",
        "truespeech", "vorbis", "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice",
    }
)  # fmt: skip
"""FFmpeg's decoders that may be opened, in any container: what people record speech with."""
