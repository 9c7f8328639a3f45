"""Live audio, mixed to one channel."""

from __future__ import annotations

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.recording import RecordingDecoder


class StreamDecoder(RecordingDecoder):
    """Decodes one utterance, or one live container, as it arrives; its outputs in a row are
    `decode`'s, to the bit.

    Of bare samples it holds less than a frame (a sample of each channel) and the resampler's
    filter; a container has a decoder process of its own, which `close` ends.
    """

    def push(self, data: bytes | memoryview) -> Float32:
        """The next [n] samples, 16 kHz mono; n may be 0. Read-only.

        Raises:
            InvalidRequestError: as `RecordingDecoder.feed`.
        """
        samples: Float32 = super().push(data)[0]
        return samples

    def finish(self) -> Float32:
        """The last [n] samples. The decoder is spent afterwards.

        Raises:
            InvalidRequestError: as `RecordingDecoder.rest`; bare samples ended within one: either
                bytes were lost, and all samples may be askew, or the encoding or channel count is
                wrong.
        """
        samples: Float32 = super().finish()[0]
        return samples
