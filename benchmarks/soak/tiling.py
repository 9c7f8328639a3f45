"""Whether a live stream was told of all of its audio, and of each frame once, without any I/O."""

from __future__ import annotations

from emotion2vec.v1 import service_pb2
from google.protobuf.duration_pb2 import Duration

from benchmarks.delays import FRAME_FIELD, FRAME_HOP, StreamError
from benchmarks.speech import SAMPLE_RATE


class Tiling:
    """What one stream was told, checked as it comes. Its utterances must follow without gaps."""

    def __init__(self) -> None:
        self.frames = 0
        """Final ones, of all utterances."""
        self.utterances = 0
        """That have their final result."""
        self.heard = 0
        """Samples that final results cover, from the stream's beginning."""
        self.is_degraded = False
        self._messages = 0
        self._next_frame = 0
        """Within the open utterance."""

    def told(self, reply: service_pb2.StreamRecognizeResponse) -> None:
        """One message of the server.

        Raises:
            StreamError: one is missing or came twice, or a final frame, or a final result.
        """
        self._expect("message", self._messages, reply.sequence)
        self._messages += 1
        if reply.HasField("frames") and reply.frames.is_final:
            self._expect("utterance of frames", self.utterances, reply.utterance_index)
            self._expect("frame", self._next_frame, reply.frames.first_frame_index)
            self._next_frame += reply.frames.frame_count
            self.frames += reply.frames.frame_count
        elif reply.HasField("final"):
            self._expect("final result", self.utterances, reply.utterance_index)
            self._expect("first sample", self.heard, _samples(reply.final.start_offset))
            end = _samples(reply.final.end_offset)
            whole = max(0, (end - self.heard - FRAME_FIELD) // FRAME_HOP + 1)
            self._expect("number of frames", whole, self._next_frame)
            self.heard = end
            self.utterances += 1
            self._next_frame = 0
        elif reply.HasField("warning"):
            self.is_degraded = True

    def ended(self, sent: int | None = None) -> None:
        """Nothing more will come.

        Args:
            sent: samples that must have been heard; None where the server may have stopped before.

        Raises:
            StreamError: an utterance has no final result, or audio was not heard.
        """
        self._expect("frame without a final result", 0, self._next_frame)
        if sent is not None:
            self._expect("last sample", sent, self.heard)

    def _expect(self, what: str, expected: int, came: int) -> None:
        if came != expected:
            where = f"in utterance {self.utterances}"
            raise StreamError(f"{what}: {came} came where {expected} was due, {where}")


def _samples(offset: Duration) -> int:
    return round(offset.ToNanoseconds() * SAMPLE_RATE / 1e9)
