"""Pieces of a request's body to messages.

Each message has a prefix of 5 bytes: whether it is compressed, and its length ("Length-Prefixed-
Message" of gRPC over HTTP/2). A message that is too large is known by its prefix, before its body.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

import grpc

from emotion2vec_server.rpc.faults import CallError, too_large

PREFIX_BYTES = 5
_PREFIX = struct.Struct(">BI")


class Compressed(NamedTuple):
    """A message as it came."""

    data: bytes


def prefixed(message: bytes) -> bytes:
    """A message as it goes out."""
    return _PREFIX.pack(0, len(message)) + message


class Inbox:
    """The messages of one call, from when they are complete until they are read."""

    __slots__ = ("_compressed", "_max_bytes", "_missing", "_parts", "_prefix", "messages")

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` is the most that a message may have."""
        self.messages: deque[bytes | Compressed] = deque()
        self._max_bytes = max_bytes
        self._prefix = b""
        # Of the message under way.
        self._missing = 0
        self._compressed = False
        self._parts: list[bytes] = []

    @property
    def is_between_messages(self) -> bool:
        """No message is under way."""
        return not (self._missing or self._prefix)

    def add(self, content: memoryview) -> None:
        """Takes the next piece, of any size. Copies what it keeps.

        Raises:
            CallError: a message is too large, or its prefix is wrong.
        """
        while content:
            if not self._missing:
                content = self._begin(content)
                continue
            part = bytes(content[: self._missing])
            content = content[len(part) :]
            self._missing -= len(part)
            self._parts.append(part)
            if not self._missing:
                self._complete()

    def _begin(self, content: memoryview) -> memoryview:
        needed = PREFIX_BYTES - len(self._prefix)
        self._prefix += content[:needed]
        if len(self._prefix) < PREFIX_BYTES:
            return content[needed:]
        flag, length = _PREFIX.unpack(self._prefix)
        self._prefix = b""
        if flag > 1:
            raise CallError(grpc.StatusCode.INTERNAL, "a message's first byte is neither 0 nor 1")
        if length > self._max_bytes:
            raise too_large(self._max_bytes)
        self._compressed = bool(flag)
        self._missing = length
        if not length:
            self._complete()
        return content[needed:]

    def _complete(self) -> None:
        parts = self._parts
        message = parts[0] if len(parts) == 1 else b"".join(parts)
        self.messages.append(Compressed(message) if self._compressed else message)
        self._parts = []
