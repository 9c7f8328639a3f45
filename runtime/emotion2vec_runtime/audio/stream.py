"""Raw audio in pieces of any size."""

from __future__ import annotations

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.decode import RAW_FORMATS
from emotion2vec_runtime.audio.mix import mix_down, require_finite
from emotion2vec_runtime.audio.resample import Resampler
from emotion2vec_runtime.audio.samples import as_float, read_samples
from emotion2vec_runtime.audio.spec import AudioSpec
from emotion2vec_runtime.errors import InvalidRequestError


class StreamDecoder:
    """Decodes one utterance as it arrives; its outputs in a row are `decode`'s, to the bit.

    It holds less than one frame (a sample of each channel) of bytes, and the resampler's filter.

    Raises:
        InvalidRequestError: `spec` names no raw encoding.
    """

    def __init__(self, spec: AudioSpec) -> None:
        if not spec.encoding.is_raw or spec.sample_rate is None:
            raise InvalidRequestError(
                "audio_config.encoding",
                "a stream takes raw audio only: set the encoding to LINEAR16, FLOAT32, MULAW or "
                "ALAW",
            )
        self._format = RAW_FORMATS[spec.encoding]
        self._channels = spec.channels
        self._frame = self._format.width * spec.channels
        self._resampler = Resampler(spec.sample_rate)
        self._rest = b""

    def push(self, data: bytes) -> Float32:
        """The next [n] samples, 16 kHz mono; n may be 0. Read-only.

        Raises:
            InvalidRequestError: a sample is NaN or infinite.
        """
        if self._rest:
            data = self._rest + data
        end = len(data) // self._frame * self._frame
        self._rest = data[end:]
        samples = as_float(read_samples(memoryview(data)[:end], self._format))
        block = samples.reshape(-1, self._channels).T
        return self._checked(as_float(self._resampler.push(mix_down(block))))

    def finish(self) -> Float32:
        """The last [n] samples. The decoder is spent afterwards.

        Raises:
            InvalidRequestError: the audio ended within a sample: either bytes were lost, and all
                samples may be askew, or the encoding or channel count is wrong.
        """
        if self._rest:
            raise InvalidRequestError(
                "audio",
                f"the audio ended {len(self._rest)} bytes into a sample of {self._frame}: bytes "
                "were lost, or the encoding or channel count is wrong",
            )
        return self._checked(self._resampler.finish())

    @staticmethod
    def _checked(samples: Float32) -> Float32:
        require_finite(samples)
        return samples
