"""HTTP/2 (RFC 9113) for servers, without I/O: bytes in, requests and bytes out."""

from emotion2vec_server.http2.connection import Application, Connection
from emotion2vec_server.http2.faults import ErrorCode
from emotion2vec_server.http2.headers import Field, Headers, block, response_block
from emotion2vec_server.http2.settings import Limits
from emotion2vec_server.http2.stream import Receiver, Stream

__all__ = [
    "Application",
    "Connection",
    "ErrorCode",
    "Field",
    "Headers",
    "Limits",
    "Receiver",
    "Stream",
    "block",
    "response_block",
]
