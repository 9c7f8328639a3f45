"""The few messages of google.rpc and grpc.health.v1 that this client reads and writes.

The packages that carry them (googleapis-common-protos, grpcio-health-checking) are no dependency
of ours for the sake of a dozen fields. They are declared here field by field, as the public .proto
files have them, and protobuf does the encoding. They live in a pool of their own, so that nothing
clashes where those packages are installed too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, duration_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

_Field = descriptor_pb2.FieldDescriptorProto

_GOOGLE_RPC = {
    "Status": (
        ("code", 1, _Field.TYPE_INT32, ""),
        ("message", 2, _Field.TYPE_STRING, ""),
        ("details", 3, _Field.TYPE_MESSAGE, "*.google.protobuf.Any"),
    ),
    "RetryInfo": (("retry_delay", 1, _Field.TYPE_MESSAGE, ".google.protobuf.Duration"),),
    "FieldViolation": (
        ("field", 1, _Field.TYPE_STRING, ""),
        ("description", 2, _Field.TYPE_STRING, ""),
    ),
    # Upstream nests FieldViolation in BadRequest; on the wire that is the same.
    "BadRequest": (("field_violations", 1, _Field.TYPE_MESSAGE, "*.google.rpc.FieldViolation"),),
}
_GRPC_HEALTH = {
    "HealthCheckRequest": (("service", 1, _Field.TYPE_STRING, ""),),
    # An open enum and an int32 are the same on the wire.
    "HealthCheckResponse": (("status", 1, _Field.TYPE_INT32, ""),),
}


def _add(
    pool: DescriptorPool,
    package: str,
    messages: Mapping[str, tuple[tuple[str, int, _Field.Type.ValueType, str], ...]],
    imports: tuple[str, ...] = (),
) -> None:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3", dependency=imports
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, type_name in fields:
            message.field.add(
                name=field_name,
                number=number,
                type=kind,
                type_name=type_name.removeprefix("*") or None,
                label=_Field.LABEL_REPEATED if type_name[:1] == "*" else _Field.LABEL_OPTIONAL,
            )
    pool.Add(file)


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for module in (any_pb2, duration_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    imports = (any_pb2.DESCRIPTOR.name, duration_pb2.DESCRIPTOR.name)
    _add(pool, "google.rpc", _GOOGLE_RPC, imports)
    _add(pool, "grpc.health.v1", _GRPC_HEALTH)
    return pool


_POOL = _pool()


def _message(full_name: str) -> Any:
    """The class of a message; its fields exist at run time only, hence Any."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(full_name))


Status = _message("google.rpc.Status")
RetryInfo = _message("google.rpc.RetryInfo")
BadRequest = _message("google.rpc.BadRequest")
HealthCheckRequest = _message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _message("grpc.health.v1.HealthCheckResponse")
