"""One gRPC call over a socket of our own: to misbehave in ways that no gRPC client can.

HTTP/2 frames by hand (RFC 9113), with headers that no table compresses (RFC 7541, section 6.2.2).
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from typing import Self

_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
_END_STREAM, _END_HEADERS = 1, 4
_INITIAL_WINDOW_SIZE = 4
SERVICE = "emotion2vec.v1.EmotionRecognitionService"


class RawCall:
    """A call whose message is sent piece by piece, or never."""

    def __init__(
        self,
        address: str,
        method: str,
        *,
        window: int = 65_535,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> None:
        """Sends the headers, from an address of this machine. `window` is how many bytes of a
        reply we would take."""
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection(
            (host, int(port)), timeout=60, source_address=(source, 0)
        )
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method if "/" in method else f"/{SERVICE}/{method}",
            ":authority": address,
            "content-type": "application/grpc",
            "te": "trailers",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        block = b"".join(
            b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in fields.items()
        )
        self._socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, window))
            + _frame(_HEADERS, _END_HEADERS, 1, block)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def announce(self, size: int) -> None:
        """Begins a message of so many bytes."""
        self.send(struct.pack(">BI", 0, size))

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Sends bytes of the message; at most 16 KiB, and 64 KiB in all."""
        self._socket.sendall(_frame(_DATA, _END_STREAM if end else 0, 1, data))

    def flood(self, size: int) -> int:
        """Sends bytes of the message as far as flow control lets us, up to `size`; returns how many
        went. Waits a second for more leave at most."""
        left = {0: 65_535, 1: 65_535}
        sent = 0
        self._socket.settimeout(1.0)
        stream = self._socket.makefile("rb")
        try:
            while sent < size:
                piece = min(16_384, size - sent, *left.values())
                if piece > 0:
                    self.send(bytes(piece))
                    sent += piece
                    left = {number: count - piece for number, count in left.items()}
                    continue
                head = stream.read(9)
                if len(head) < 9:
                    break
                payload = stream.read(int.from_bytes(head[:3]))
                number = int.from_bytes(head[5:9])
                if head[3] == _WINDOW_UPDATE and number in left:
                    left[number] += int.from_bytes(payload)
                if head[3] == _SETTINGS and not head[4]:
                    for at in range(0, len(payload), 6):
                        key, value = struct.unpack_from(">HI", payload, at)
                        if key == _INITIAL_WINDOW_SIZE:
                            left[1] += value - 65_535
        except TimeoutError:
            pass
        return sent

    def status(self) -> int | None:
        """Waits for the end of the call: its gRPC status, or None where the connection ended."""
        for kind, flags, payload in self._frames():
            if kind in (_RESET, _GOAWAY):
                return None
            if kind == _HEADERS and flags & _END_STREAM:
                # A literal: the name, one byte of length, the digits.
                found = re.search(rb"grpc-status[\x01\x02](\d+)", payload)
                return int(found[1]) if found else None
        return None

    def _frames(self) -> Iterator[tuple[int, int, bytes]]:
        with self._socket.makefile("rb") as stream:
            while len(head := stream.read(9)) == 9:
                yield head[3], head[4], stream.read(int.from_bytes(head[:3]))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
