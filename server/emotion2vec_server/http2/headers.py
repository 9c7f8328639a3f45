"""Header blocks: HPACK (RFC 7541) to lists of fields, and fields to HPACK.

Decoding has a state, the table of fields that the peer has named before. A client that sends like
calls soon sends like blocks, of indexes into that table and perhaps of literals that it leaves out
of it. So what such a block stands for is remembered until another block has changed the table.

Encoding has none: every field is written as a literal that no table takes up (section 6.2.2). It
costs some bytes on the wire, and saves the time and the memory of a table for each connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from emotion2vec_server.http2.faults import ErrorCode, PeerError

Field = tuple[bytes, bytes]

_MAX_REMEMBERED = 64
_MAX_REMEMBERED_BYTES = 512
_LITERAL = b"\0"
_SMALL = 127
_STATUS_200 = b"\x88"
_STATUS = b"\x08"
"""A literal whose name is field 8 of the static table, `:status`."""

_REQUIRED = {b":method", b":scheme", b":path"}
_PSEUDO = _REQUIRED | {b":authority"}
_OF_THE_CONNECTION = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"transfer-encoding",
    b"upgrade",
}
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]\Z")


class Headers(tuple[Field, ...]):
    """The fields of a header section, in order; what is asked of them is found out once."""

    @cached_property
    def values(self) -> dict[bytes, bytes]:
        """Values by name, the last where a name is repeated."""
        return dict(self)

    @cached_property
    def size(self) -> int:
        """Bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""
        return sum(len(name) + len(value) + 32 for name, value in self)

    @cached_property
    def fault_of_request(self) -> str | None:
        """What makes a request malformed (RFC 9113, sections 8.2 and 8.3); None where nothing
        does."""
        pseudo = [name for name, _ in self if name.startswith(b":")]
        if len(set(pseudo)) < len(pseudo) or not _REQUIRED <= set(pseudo) <= _PSEUDO:
            return "pseudo-headers missing, repeated or unknown"
        if any(name.startswith(b":") for name, _ in self[len(pseudo) :]):
            return "a pseudo-header after other fields"
        if not self.values[b":path"]:
            return "an empty :path"
        return _fault_of(self, len(pseudo))

    @cached_property
    def fault_of_trailers(self) -> str | None:
        """The same for the fields that end a request."""
        return _fault_of(self, 0)


class _Table(HeaderTable):
    """The decoder's table, which counts what is added to it."""

    additions = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.additions += 1
        super().add(name, value)


class HeaderDecoder:
    """Decodes the header blocks of one connection, all of them and in order."""

    def __init__(self, max_list_bytes: int) -> None:
        """`max_list_bytes` bounds a list as RFC 9113 counts it, 32 bytes a field added."""
        self._decoder = Decoder(max_header_list_size=max_list_bytes)
        self._decoder.header_table = self._table = _Table()
        self._remembered: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """The block's fields, names and values as they are.

        Raises:
            PeerError: it is no HPACK, or too large. The table can't be trusted any more.
        """
        if (known := self._remembered.get(block)) is not None:
            return known
        additions = self._table.additions
        try:
            fields = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError as error:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "headers too large") from error
        except HPACKError as error:
            raise PeerError(ErrorCode.COMPRESSION_ERROR, "headers are no HPACK") from error
        headers = Headers((bytes(name), bytes(value)) for name, value in fields)
        changes_table = self._table.additions != additions or _resizes_table(block)
        if changes_table or len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        if not changes_table and len(block) <= _MAX_REMEMBERED_BYTES:
            self._remembered[block] = headers
        return headers


def _resizes_table(block: bytes) -> bool:
    """A block may begin with a new size for the table (RFC 7541, sections 4.2 and 6.3)."""
    return bool(block) and block[0] & 0xE0 == 0x20


def _fault_of(fields: Sequence[Field], pseudo: int) -> str | None:
    """The same for fields of any kind, the first of which are so many pseudo-headers."""
    for index, (name, value) in enumerate(fields):
        if index >= pseudo and not _NAME.fullmatch(name):
            return "a field name with bytes that names don't have"
        if _BAD_VALUE.search(value):
            return "a field value with bytes that values don't have"
        if name in _OF_THE_CONNECTION or (name == b"te" and value != b"trailers"):
            return "a field of HTTP/1 connections"
    return None


def response_block(status: int, fields: Iterable[Field]) -> bytes:
    """The block of a response's header section."""
    first = _STATUS_200 if status == 200 else _STATUS + _string(str(status).encode())
    return first + block(fields)


def block(fields: Iterable[Field]) -> bytes:
    """The block of a trailer section."""
    return b"".join(_LITERAL + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    """A string literal, not Huffman coded (RFC 7541, sections 5.1 and 5.2)."""
    length = len(text)
    if length < _SMALL:
        return bytes([length]) + text
    encoded = bytearray([_SMALL])
    length -= _SMALL
    while length >= 128:
        encoded.append(length & 127 | 128)
        length >>= 7
    encoded.append(length)
    return bytes(encoded) + text
