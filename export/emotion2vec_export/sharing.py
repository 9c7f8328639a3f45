"""Weights that two graphs of a bundle hold alike, on disk once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo, set_external_data, uses_external_data

_ALIGNMENT = 4096
"""Of a tensor's place in its file, so that ONNX Runtime can map it."""


def share_weights(path: Path, other: Path) -> None:
    """Has the graph in `path` read from the file of `other`, beside it, what both hold alike.

    The steps of live streams have the matrices of whole clips: 649 MB of emotion2vec+ large in
    fp32. Graphs small enough to hold their weights themselves stay as they are.
    """
    model = onnx.load(path, load_external_data=False)
    own = _outside(model)
    if not own:
        return
    places = {
        hashlib.sha256(_read(tensor, other.parent)).digest(): ExternalDataInfo(tensor)
        for tensor in _outside(onnx.load(other, load_external_data=False))
    }
    data = path.parent / ExternalDataInfo(own[0]).location
    rest = data.with_suffix(".rest")
    with rest.open("wb") as file:
        for tensor in own:
            values = _read(tensor, path.parent)
            place = places.get(hashlib.sha256(values).digest())
            if place is None:
                file.write(bytes(-file.tell() % _ALIGNMENT))
                _point(tensor, data.name, file.tell(), len(values))
                file.write(values)
            else:
                _point(tensor, place.location, place.offset, len(values))
    rest.replace(data)
    if data.stat().st_size == 0:
        data.unlink()
    onnx.save(model, path)


def _outside(model: onnx.ModelProto) -> list[TensorProto]:
    return [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]


def _read(tensor: TensorProto, directory: Path) -> bytes:
    place = ExternalDataInfo(tensor)
    with (directory / place.location).open("rb") as file:
        file.seek(place.offset or 0)
        return file.read(place.length or -1)


def _point(tensor: TensorProto, location: str, offset: int | None, length: int) -> None:
    tensor.raw_data = b""  # onnx wants to see some.
    set_external_data(tensor, location, offset, length)
    tensor.ClearField("raw_data")
