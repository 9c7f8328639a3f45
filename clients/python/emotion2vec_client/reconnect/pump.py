"""A thread that takes a stream's messages from its caller, for whichever call is under way.

gRPC takes the messages of a call in a thread of its own, which may be waiting for the caller's next
chunk when the call has long ended. What that chunk holds must go to the next call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from emotion2vec.v1.service_pb2 import StreamRecognizeRequest

from emotion2vec_client.events import StreamEvent
from emotion2vec_client.reconnect.resumption import Resumption


class Pump:
    """Feeds one stream; `messages` are its caller's, behind the config. To be closed."""

    def __init__(self, messages: Iterator[StreamRecognizeRequest], stream: Resumption) -> None:
        self._messages = messages
        self._stream = stream
        self._change = threading.Condition()
        self._call = 0
        """Number of the one under way; those before it get no more messages."""
        self._wanted = 0
        """Number of the message that is waited for; no further one is asked of the caller."""
        self._has_ended = self._is_closed = False
        threading.Thread(target=self._run, name="emotion2vec stream", daemon=True).start()

    def call(self) -> Iterator[StreamRecognizeRequest]:
        """The messages of the next call."""
        with self._change:
            self._call += 1
            self._change.notify_all()
            return self._read(self._call, self._stream.resume())

    def take(self, event: StreamEvent) -> list[StreamEvent]:
        """As `Resumption.take`."""
        with self._change:
            return list(self._stream.take(event))

    def close(self) -> None:
        """Nothing more is to be sent."""
        with self._change:
            self._call += 1
            self._is_closed = True
            self._change.notify_all()

    def _read(self, call: int, number: int) -> Iterator[StreamRecognizeRequest]:
        while (message := self._next(call, number)) is not None:
            yield message
            number += 1

    def _next(self, call: int, number: int) -> StreamRecognizeRequest | None:
        with self._change:
            if call == self._call:
                self._wanted = number
                self._change.notify_all()
            self._change.wait_for(
                lambda: call != self._call or self._has_ended or number < self._stream.end
            )
            if call != self._call or number >= self._stream.end:
                return None
            return self._stream.message(number)

    def _run(self) -> None:
        for message in self._messages:
            with self._change:
                self._stream.add(message)
                self._change.notify_all()
                self._change.wait_for(lambda: self._is_closed or self._wanted >= self._stream.end)
                if self._is_closed:
                    return
        with self._change:
            self._has_ended = True
            self._change.notify_all()
