"""A RecognizeRequest without a copy of its audio, which is nearly all of it.

Protobuf copies a bytes field twice: into the message, and out of it. Here the top level of the
message is walked (protobuf.dev/programming-guides/encoding), the audio stays where it is, and
protobuf parses the rest.
"""

from __future__ import annotations

from emotion2vec.v1 import service_pb2

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_AUDIO = service_pb2.RecognizeRequest.DESCRIPTOR.fields_by_name["audio"].number << 3 | _LENGTH
_MAX_FIELDS = 32
"""Our callers send four. Behind so many, protobuf walks on by itself: it is faster at it."""


class _UnclearError(Exception):
    """Not for us to judge: protobuf will parse it, or say what is wrong."""


def open_envelope(data: bytes | bytearray | memoryview) -> tuple[bytes, memoryview]:
    """Takes a serialized RecognizeRequest apart.

    Returns:
        The message without the audio that was found, for protobuf to parse; and that audio, a view
        of `data`. Audio that the rest still holds came later, and so counts instead.
    """
    view = memoryview(data)
    audio, rest, at = view[:0], bytearray(), 0
    try:
        for _ in range(_MAX_FIELDS):
            if at == len(view):
                break
            tag, body = _read_varint(view, at)
            end, start = _end(view, tag & 7, body)
            if tag == _AUDIO:
                audio = view[start:end]
            else:
                rest += view[at:end]
            at = end
    except _UnclearError:
        pass
    rest += view[at:]
    return bytes(rest), audio


def _end(view: memoryview, kind: int, at: int) -> tuple[int, int]:
    """Where the value of a field at `at` ends, and where its content begins."""
    start = at
    if kind == _LENGTH:
        size, start = _read_varint(view, at)
        end = start + size
    elif kind == _VARINT:
        _, end = _read_varint(view, at)
    elif kind in (_FIXED32, _FIXED64):
        end = at + (4 if kind == _FIXED32 else 8)
    else:
        raise _UnclearError
    if end > len(view):
        raise _UnclearError
    return end, start


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    """The varint at `at`, and where it ends."""
    value = shift = 0
    for index in range(at, min(at + 10, len(view))):
        byte = view[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, index + 1
        shift += 7
    raise _UnclearError
