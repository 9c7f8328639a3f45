"""What a stream has sent and may have to send again. No I/O."""

from __future__ import annotations

from collections import deque

from emotion2vec.v1.service_pb2 import StreamRecognizeRequest


class Tape:
    """The last messages of a stream, numbered from 0 since its beginning."""

    def __init__(self, frame: int, most: int) -> None:
        """`frame`: bytes of one sample of all channels. `most`: bytes of audio that are kept."""
        self._frame = frame
        self._most = most
        self._messages: deque[StreamRecognizeRequest] = deque()
        self.begin = 0
        """Number of the first message that is kept."""
        self.position = 0
        """Where it begins, in bytes of audio since the beginning of the stream."""
        self._kept = 0

    @property
    def end(self) -> int:
        """Number of the next message."""
        return self.begin + len(self._messages)

    def __getitem__(self, number: int) -> StreamRecognizeRequest:
        return self._messages[number - self.begin]

    def add(self, message: StreamRecognizeRequest) -> None:
        """Appends a message; the oldest go where there are too many."""
        self._messages.append(message)
        self._kept += len(message.audio)
        while self._kept > self._most:
            self._pop()

    def forget_utterance(self) -> None:
        """Forgets all up to the mark that ended an utterance: the first one behind some audio."""
        begin = self.position
        while self._messages:
            is_mark = self._pop().WhichOneof("request") == "end_utterance"
            if is_mark and self.position > begin:
                return

    def forget(self, position: int) -> None:
        """Forgets what lies before a position, to whole samples."""
        position -= position % self._frame
        while self._messages and self.position + len(self._messages[0].audio) <= position:
            if self._messages[0].WhichOneof("request") == "audio" or self.position < position:
                self._pop()
            else:
                return
        if self._messages and (cut := position - self.position) > 0:
            rest = StreamRecognizeRequest(audio=self._messages[0].audio[cut:])
            self._messages[0] = rest
            self._kept -= cut
            self.position += cut

    def _pop(self) -> StreamRecognizeRequest:
        message = self._messages.popleft()
        self.begin += 1
        self.position += len(message.audio)
        self._kept -= len(message.audio)
        return message
