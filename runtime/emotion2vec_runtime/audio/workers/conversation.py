"""One recording in one decoder, from the owner's side."""

from __future__ import annotations

from collections.abc import Iterator

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.mix import require_finite
from emotion2vec_runtime.audio.source import undecodable
from emotion2vec_runtime.audio.spec import MAX_CHANNELS
from emotion2vec_runtime.audio.workers.job import Job, Summary
from emotion2vec_runtime.audio.workers.link import LARGEST, BrokenLinkError, Kind, Message
from emotion2vec_runtime.audio.workers.process import MEMORY_BYTES, Decoder
from emotion2vec_runtime.errors import TooLargeError


class Conversation:
    """Decodes one recording. Should it raise, the decoder is of no use any more, unless
    `is_over`."""

    def __init__(self, decoder: Decoder, job: Job, *, is_live: bool) -> None:
        self._summary: Summary | None = None
        self.is_over = False
        """Whether the decoder has said its last word, and may take another recording."""
        self.has_failed = False
        """Whether the decoder died, hung, or said what it should not."""
        self._decoder = decoder
        self._rows = MAX_CHANNELS if job.separate else 1
        self._opening = job.message(is_live=is_live)

    @property
    def summary(self) -> Summary:
        """To be asked once the decoder is done."""
        assert self._summary is not None  # noqa: S101
        return self._summary

    def open(self) -> Iterator[Float32]:
        """Begins: all audio of a whole recording, [rows, n] each; nothing yet of a live one."""
        return self._converse(self._opening)

    def feed(self, data: memoryview) -> Iterator[Float32]:
        """The next bytes of a live recording, and the audio that they complete."""
        for start in range(0, len(data), LARGEST):
            if not self.is_over:
                yield from self._converse(Message(Kind.DATA, bytes(data[start : start + LARGEST])))

    def end(self) -> Iterator[Float32]:
        """The end of a live recording, and the audio that is left."""
        if not self.is_over:
            yield from self._converse(Message(Kind.END))

    def _converse(self, message: Message) -> Iterator[Float32]:
        try:
            while True:
                self._decoder.link.send(message)
                answer = self._decoder.link.receive()
                if answer.kind is Kind.WANT:
                    return
                if answer.kind is not Kind.HEARD:
                    break
                yield self._take(answer)
                message = Message(Kind.TAKEN)
            self._conclude(answer)
        except (BrokenLinkError, ValueError, KeyError, TypeError, OverflowError) as error:
            self.has_failed = True
            raise undecodable(
                "the file made its decoder fail, or asks for more time or memory than any audio "
                "needs: it is damaged, write it again"
            ) from error

    def _take(self, answer: Message) -> Float32:
        fields = answer.fields
        rows, count = int(fields["rows"]), int(fields["count"])
        if not (0 < rows <= self._rows and 0 < count <= MEMORY_BYTES // 4 // rows):
            raise BrokenLinkError
        samples = self._decoder.take(rows, count)
        require_finite(samples)
        return samples

    def _conclude(self, answer: Message) -> None:
        fields = answer.fields
        match answer.kind:
            case Kind.DONE:
                self._summary = Summary.of(fields)
                self.is_over = True
            case Kind.FAILED:
                self.is_over = True
                message = str(fields["message"])
                raise TooLargeError(message) if fields["too_large"] else undecodable(message)
            case _:
                raise BrokenLinkError
