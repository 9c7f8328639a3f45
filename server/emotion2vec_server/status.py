"""Errors on the wire: a gRPC status, with google.rpc details."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from emotion2vec_server.errors import InvalidRequestError, RequestError

# Our handlers take and give serialized messages.
Context = grpc.aio.ServicerContext[bytes, bytes]


async def abort(context: Context, error: RequestError) -> NoReturn:
    """Ends the call with the error's status and details."""
    code = grpc.StatusCode[error.status]
    status = rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=str(error), details=_details(error))
    )
    await context.abort(code, str(error), status.trailing_metadata)
    raise AssertionError("abort returned")


def _details(error: RequestError) -> list[AnyMessage]:
    messages: list[Any] = []
    if isinstance(error, InvalidRequestError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=str(error)
        )
        messages.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        messages.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for message in messages:
        detail = AnyMessage()
        detail.Pack(message)
        packed.append(detail)
    return packed
