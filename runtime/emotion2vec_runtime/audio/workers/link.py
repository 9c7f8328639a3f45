"""What a decoder and its owner say to each other: short messages, of which one at a time has the
word, and audio through memory that both see.

Nothing that comes from a decoder is trusted: it has read a stranger's bytes. So its messages are
JSON of a few known fields, and audio is copied out before it is looked at.
"""

from __future__ import annotations

import json
import queue
import socket
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

LARGEST: Final = 1 << 16
"""Bytes of one message's payload."""


class Kind(Enum):
    """The first byte of a message."""

    # From the owner.
    OPEN = b"o"
    """Decode a recording: a `Job`."""
    DATA = b"d"
    """The next bytes of a live recording."""
    END = b"e"
    """There are no more of them."""
    TAKEN = b"t"
    """The audio was copied: go on."""
    # From the decoder.
    HEARD = b"h"
    """Audio lies in the memory: {"rows", "count"}. Waits for TAKEN."""
    WANT = b"w"
    """All bytes so far are used up. Waits for DATA or END."""
    DONE = b"n"
    """The recording is decoded: a `Summary`."""
    FAILED = b"f"
    """It can't be decoded: {"message", "too_large"}."""


class Message(NamedTuple):
    """One message."""

    kind: Kind
    payload: bytes = b""

    @property
    def fields(self) -> dict[str, Any]:
        """The payload's fields.

        Raises:
            ValueError: it is not a JSON object.
        """
        fields = json.loads(self.payload)
        if not isinstance(fields, dict):
            raise ValueError("not an object")
        return fields

    @classmethod
    def of(cls, kind: Kind, **fields: Any) -> Message:
        return cls(kind, json.dumps(fields).encode())


class BrokenLinkError(Exception):
    """The other side is gone, or says what it should not."""


class Link(Protocol):
    """One end of a conversation."""

    def send(self, message: Message) -> None:
        """Raises `BrokenLinkError` where the other side is gone."""
        ...

    def receive(self, seconds: float | None = None) -> Message:
        """Raises `BrokenLinkError` where the other side is gone, or silent for `seconds`."""
        ...

    def close(self) -> None: ...


class SocketLink:
    """To another process: a SOCK_SEQPACKET socket, so a message is a packet."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, message: Message) -> None:
        try:
            self._connection.sendall(message.kind.value + message.payload)
        except OSError as error:
            raise BrokenLinkError from error

    def receive(self, seconds: float | None = None) -> Message:
        try:
            self._connection.settimeout(seconds)
            packet = self._connection.recv(LARGEST + 1)
            return Message(Kind(packet[:1]), packet[1:])
        except (OSError, ValueError) as error:
            raise BrokenLinkError from error

    def close(self) -> None:
        self._connection.close()


class QueueLink:
    """To another thread."""

    def __init__(
        self,
        outgoing: queue.SimpleQueue[Message | None],
        incoming: queue.SimpleQueue[Message | None],
    ) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    def send(self, message: Message) -> None:
        self._outgoing.put(message)

    def receive(self, seconds: float | None = None) -> Message:
        try:
            message = self._incoming.get(timeout=seconds)
        except queue.Empty as error:
            raise BrokenLinkError from error
        if message is None:
            raise BrokenLinkError
        return message

    def close(self) -> None:
        self._outgoing.put(None)


def queue_links() -> tuple[QueueLink, QueueLink]:
    """Both ends of a conversation between threads."""
    there: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    back: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    return QueueLink(there, back), QueueLink(back, there)
