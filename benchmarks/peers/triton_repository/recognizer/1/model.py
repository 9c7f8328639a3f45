"""Triton's Python backend: its C++ front end and batcher hand over a list of requests.

The wheel has no ONNX Runtime backend. That one would take one concatenated tensor for a batch of
different lengths anyway, which is not the graph's input (docs: "Ragged Batching").
"""

from __future__ import annotations

import os
from typing import Any

import triton_python_backend_utils as pb_utils

from benchmarks.peers.model import Model


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:  # noqa: ARG002
        threads, provider = int(os.environ["PEER_THREADS"]), os.environ["PEER_PROVIDER"]
        self._model = Model(os.environ["PEER_MODEL"], threads, provider)

    def execute(self, requests: list[Any]) -> list[Any]:
        clips = [
            pb_utils.get_input_tensor_by_name(request, "pcm").as_numpy()[0] for request in requests
        ]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("probabilities", row[None])])
            for row in self._model(clips)
        ]
