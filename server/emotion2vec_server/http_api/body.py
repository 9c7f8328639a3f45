"""The body of a request: raw bytes, or the one file of a form. Bounded, and read as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from emotion2vec_runtime.errors import InvalidRequestError, TooLargeError
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from emotion2vec_server.errors import CallerLeftError
from emotion2vec_server.http_api.problem import HttpError

FILE_FIELD: Final = "file"
_MOST_FIELD_BYTES = 4096
_MOST_FIELDS = 64


class Body:
    """What a request carries: the audio, and the `fields` of a form that have come so far.

    Of any other type, it is taken for the bare bytes: curl says that all it sends is a form.
    """

    def __init__(self, request: Request) -> None:
        """Reads nothing yet.

        Raises:
            HttpError: it comes in a coding or a form that can't be read.
        """
        coding = request.headers.get("content-encoding", "identity")
        if coding.lower() != "identity":
            raise HttpError(
                415, f"Content-Encoding {coding} is not read here: send the bytes as they are"
            )
        self.fields: list[tuple[str, str]] = []
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        self._stream = request.stream()
        self._form: _Form | None = None
        if kind == b"multipart/form-data":
            boundary = options.get(b"boundary")
            if not boundary:
                raise HttpError(400, "the form has no boundary: let your HTTP library write it")
            self._form = _Form(boundary)

    async def begin(self) -> bytes:
        """The first bytes of the audio; what a form says before them is in `fields` then.

        Raises:
            InvalidRequestError: there is none.
        """
        async for data in self._chunks():
            return data
        raise InvalidRequestError(
            "audio",
            f"the form has no file: name it {FILE_FIELD!r}" if self._form else "the body is empty",
        )

    async def rest(self) -> AsyncIterator[bytes]:
        """What follows."""
        async for data in self._chunks():
            yield data

    async def whole(self, most: int) -> bytes:
        """All of it.

        Raises:
            TooLargeError: it is more than `most` bytes.
        """
        parts = [await self.begin()]
        size = len(parts[0])
        async for data in self.rest():
            size += len(data)
            parts.append(data)
            if size > most:
                raise TooLargeError(f"the audio is larger than {most} bytes")
        return b"".join(parts)

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._stream:
                audio = data if self._form is None else self._form.push(data)
                if self._form is not None:
                    self.fields = self._form.fields
                if audio:
                    yield audio
        except ClientDisconnect as error:
            raise CallerLeftError from error
        if self._form is not None:
            self._form.finish()


class _Form:
    """multipart/form-data (RFC 7578), pushed in pieces: fields are kept, the file is passed on."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: list[tuple[str, str]] = []
        self._audio: list[bytes] = []
        self._name = ""
        self._value = bytearray()
        self._header: list[bytes] = [b"", b""]
        self._has_file = False
        self._in_file = False
        self._is_whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._in_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._in_header(1, data[start:end]),
                "on_header_end": self._end_header,
                "on_part_data": lambda data, start, end: self._data(data[start:end]),
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def push(self, data: bytes) -> bytes:
        """The bytes of the file among these."""
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise InvalidRequestError("", f"the form can't be read: {error}") from error
        audio, self._audio = b"".join(self._audio), []
        return audio

    def finish(self) -> None:
        """No more comes."""
        if not self._is_whole:
            raise InvalidRequestError("", "the form ends before its last boundary: send all of it")

    def _begin(self) -> None:
        self._name, self._in_file = "", False
        self._value.clear()
        self._header = [b"", b""]
        if len(self.fields) >= _MOST_FIELDS:
            raise InvalidRequestError("", f"the form has more than {_MOST_FIELDS} fields")

    def _in_header(self, part: int, data: bytes) -> None:
        self._header[part] += data
        if len(self._header[part]) > _MOST_FIELD_BYTES:
            raise InvalidRequestError("", "a header within the form is too long")

    def _end_header(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() != b"content-disposition":
            return
        _, options = parse_options_header(value)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options or self._name == FILE_FIELD:
            if self._has_file:
                raise InvalidRequestError(FILE_FIELD, "one file a request: send the others apart")
            self._has_file = self._in_file = True

    def _data(self, data: bytes) -> None:
        if self._in_file:
            self._audio.append(data)
            return
        self._value += data
        if len(self._value) > _MOST_FIELD_BYTES:
            raise InvalidRequestError(
                self._name,
                f"the field is longer than {_MOST_FIELD_BYTES} bytes: is it the file? "
                f"Then name it {FILE_FIELD!r}",
            )

    def _end(self) -> None:
        if not self._in_file:
            self.fields.append((self._name, self._value.decode("utf-8", "replace")))

    def _finished(self) -> None:
        self._is_whole = True
