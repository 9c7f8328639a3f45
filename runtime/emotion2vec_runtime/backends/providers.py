"""Where a model can run: one row a provider, and all that differs between them.

A new one is a row here, and the ONNX Runtime package that brings it. CoreML's would be

    Provider(
        name="coreml",
        execution_provider="CoreMLExecutionProvider",
        precisions=("fp16", "fp32"),
        memory="host",
        options={"ModelFormat": "MLProgram"},
    ),

which nobody has tried: no machine with it was at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from emotion2vec_runtime.bundle import Precision
from emotion2vec_runtime.errors import ConfigError

Memory = Literal["host", "device"]
Shape = tuple[int, int]
"""Rows of a batch, and frames of each."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One place to run a graph.

    Attributes:
        name: what users call it.
        execution_provider: what ONNX Runtime calls it.
        precisions: what runs fastest there, best first.
        memory: "device" where weights and values lie on a card of its own, chosen by number.
        options: of the execution provider.
        fallbacks: names of those that take the nodes it can't run, in order.
        automatic: whether it is taken where nobody names one.
        instances: batches at once unless told otherwise; None goes by the core count.
        warm_up: shapes that run before it serves.
        measuring_seconds: how long the cost of batches is measured at start.
    """

    name: str
    execution_provider: str
    precisions: tuple[Precision, ...]
    memory: Memory
    options: Mapping[str, str] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ("cpu",)
    automatic: bool = True
    instances: int | None = None
    # A first run does what all others do.
    warm_up: tuple[Shape, ...] = ((1, 49),)
    measuring_seconds: float = 1.0


# Libraries of a GPU choose kernels by shape.
_GPU_WARM_UP: tuple[Shape, ...] = ((1, 49), (1, 249), (2, 249))
_GPU_MEASURING_SECONDS = 5.0

PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="tensorrt",
        execution_provider="TensorrtExecutionProvider",
        precisions=("fp16", "fp32"),
        memory="device",
        fallbacks=("cuda", "cpu"),
        # It builds an engine for each new shape, which takes minutes.
        automatic=False,
        instances=1,
        warm_up=_GPU_WARM_UP,
        measuring_seconds=_GPU_MEASURING_SECONDS,
    ),
    Provider(
        name="cuda",
        execution_provider="CUDAExecutionProvider",
        precisions=("fp16", "fp32"),
        memory="device",
        options={
            # Graphs with convolutions: by default it tries all algorithms for each new shape.
            "cudnn_conv_algo_search": "HEURISTIC",
            # By default a norm joined to a sum takes its mean and variance in fp16.
            "enable_skip_layer_norm_strict_mode": "1",
        },
        # While one starts its kernels and copies, another computes: an H100 answers 8% more.
        instances=2,
        warm_up=_GPU_WARM_UP,
        measuring_seconds=_GPU_MEASURING_SECONDS,
    ),
    Provider(
        name="cpu",
        execution_provider="CPUExecutionProvider",
        precisions=("int8", "fp32"),
        memory="host",
        fallbacks=(),
    ),
)
"""Best first: the first automatic one that is to be had is taken."""

PROVIDER_NAMES = tuple(provider.name for provider in PROVIDERS)


def provider_named(name: str) -> Provider:
    """The row of a name.

    Raises:
        ConfigError: there is none.
    """
    for provider in PROVIDERS:
        if provider.name == name:
            return provider
    raise ConfigError(f"unknown provider {name!r}: choose of {', '.join(PROVIDER_NAMES)}")
