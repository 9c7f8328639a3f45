"""Ogg pages (RFC 3533): where the links of a chain begin, and whether the last one ends.

FFmpeg plays a chain as one stream, and gives up where a link has another codec, rate or number of
channels. So it gets each link as a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

_CAPTURE: Final = b"OggS\0"
_HEADER = 27
_FIRST, _LAST = 2, 4
"""Header flags: the first page of a logical stream, the last one."""
_CHUNK = 1 << 14
_MAX_LINKS = 1000


class Readable(Protocol):
    """A file that is read from front to back."""

    def read(self, size: int, /) -> bytes:
        """Some bytes, at most `size`; none at the end."""
        ...


class Chain:
    """The links of an Ogg file, of which all but a chained one has one."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._ahead = bytearray()
        self._at_end = False
        self._in_headers = True
        self._has_ended = False

    @property
    def is_complete(self) -> bool:
        """Whether the last link has its end mark; to be asked once all is read."""
        return self._has_ended

    def links(self) -> Iterator[Link]:
        """Each link, which is to be read to its end before the next is asked for."""
        for _ in range(_MAX_LINKS):
            if not self._fill(1):
                return
            self._in_headers = True
            self._has_ended = False
            link = Link(self)
            yield link
            while link.read(_CHUNK):
                pass

    def read_page(self) -> bytes:
        """The next page of this link, or junk before one; nothing at the link's end."""
        self._fill(_HEADER)
        if not self._ahead:
            return b""
        if not self._ahead.startswith(_CAPTURE):
            return self._take(self._junk())
        flags = self._ahead[5]
        if flags & _FIRST and not self._in_headers:
            return b""
        length = self._page_size()
        if not flags & _FIRST:
            self._in_headers = False
        if flags & _LAST and self._fill(length):
            self._has_ended = True
        return self._take(min(length, len(self._ahead)))

    def _page_size(self) -> int:
        if not self._fill(_HEADER):
            return len(self._ahead)
        segments = self._ahead[26]
        if not self._fill(_HEADER + segments):
            return len(self._ahead)
        size = _HEADER + segments + sum(self._ahead[_HEADER : _HEADER + segments])
        return size if self._fill(size) else len(self._ahead)

    def _junk(self) -> int:
        """Bytes before the next page, as far as can be seen."""
        found = self._ahead.find(_CAPTURE, 1)
        if found > 0:
            return found
        return max(1, len(self._ahead) - len(_CAPTURE) + 1)

    def _fill(self, size: int) -> bool:
        """Whether at least `size` bytes lie ahead, after reading as many as that takes."""
        while len(self._ahead) < size and not self._at_end:
            piece = self._file.read(_CHUNK)
            self._at_end = not piece
            self._ahead += piece
        return len(self._ahead) >= size

    def _take(self, size: int) -> bytes:
        taken = bytes(self._ahead[:size])
        del self._ahead[:size]
        return taken


class Link:
    """One link as a file."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        piece = self._rest or self._chain.read_page()
        self._rest = piece[size:]
        return piece[:size]
