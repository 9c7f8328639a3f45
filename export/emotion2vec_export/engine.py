"""The TensorRT engine: the fp16 graph, compiled.

Profiles. TensorRT chooses kernels for one shape a profile and then runs any shape within its
bounds. Speed matters when there is a queue, so each profile is tuned for the batch that the
server's budget of padded audio makes of clips of its longest length: 64 x 3.75 s, 32 x 7.5 s,
16 x 15 s, 8 x 30 s. Its bounds take the budget at its shortest length, so that whatever the
batcher puts together fits one. Four, because each costs the builder its time again.

The graph states its types, so nothing is left to the builder but speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

from emotion2vec_runtime.backends.base import Backend
from emotion2vec_runtime.backends.tensorrt import cuda
from emotion2vec_runtime.backends.tensorrt.engine import TensorRtBackend
from emotion2vec_runtime.backends.tensorrt.library import Library, installed_libraries
from emotion2vec_runtime.bundle import Engine, Profile
from emotion2vec_runtime.recognition.long_audio import MAX_WINDOW_SECONDS
from emotion2vec_runtime.recognition.runner import MAX_BATCH_ROWS, MAX_BATCH_SECONDS
from platformdirs import user_cache_path

from emotion2vec_export.errors import ExportError

_RATE = 16000
_LONGEST_SECONDS = tuple(MAX_WINDOW_SECONDS / part for part in (8, 4, 2, 1))
"""Of each profile."""

_TURING = "SM75"
"""For it tensorrt_rtx has no products in fp32, which the classifier is."""

Say = Callable[[str], None]


def profiles(frame_field: int) -> tuple[Profile, ...]:
    """Shapes (clips, samples) that the engine takes; `frame_field` is the shortest clip."""
    shortest = (0.0, *_LONGEST_SECONDS[:-1])
    return tuple(
        Profile(
            minimum=(1, frame_field),
            optimum=(_rows(longest), round(longest * _RATE)),
            maximum=(_rows(previous), round(longest * _RATE)),
        )
        for previous, longest in zip(shortest, _LONGEST_SECONDS, strict=True)
    )


def find_builder() -> tuple[Library, Sequence[cuda.Device]]:
    """The library that builds engines here, and the cards that are here.

    Raises:
        ExportError: no TensorRT is installed, or it needs a card.
    """
    library = next(iter(installed_libraries().values()), None)
    if library is None:
        raise ExportError(
            "--engine tensorrt: no TensorRT is installed; install emotion2vec-export[tensorrt] for "
            "data-centre cards, or emotion2vec-export[tensorrt-rtx] for RTX cards"
        )
    cards = cuda.devices()
    if library.name == "tensorrt" and not cards:
        raise ExportError(
            "--engine tensorrt: TensorRT builds for the card that is there, and CUDA finds none; "
            "tensorrt_rtx builds without one"
        )
    return library, cards


def build_engine(
    graph: Path, directory: Path, *, frame_field: int, onnx_sha256: str, say: Say
) -> tuple[Path, Engine]:
    """Writes the engine of the fp16 graph at `graph` into `directory`.

    With `tensorrt` it is for the card that is here. With `tensorrt_rtx` and no card it is for all
    cards from Ampere on that the library knows.

    Args:
        graph: whose types are what shall be computed in.
        directory: of the bundle.
        frame_field: samples of the shortest clip.
        onnx_sha256: of `graph`, for the manifest.
        say: hears how it goes on.

    Raises:
        ExportError: no TensorRT is installed, it needs a card, or it can't compile the graph.
    """
    library, cards = find_builder()
    builder = _Builder(library, say)
    network = builder.parse(graph)
    config = builder.configure(network, profiles(frame_field))
    if cards:
        capabilities: tuple[str, ...] = (cards[0].compute_capability,)
    else:
        capabilities = builder.target_all(config)
    path = directory / "model.fp16.engine"
    path.write_bytes(builder.build(network, config, capabilities))
    return path, Engine(
        library=library.name,
        version=library.version,
        compute_capabilities=capabilities,
        profiles=profiles(frame_field),
        onnx_sha256=onnx_sha256,
    )


def can_run(engine: Engine) -> bool:
    """Whether this machine's first card is one that the engine is for."""
    return any(
        card.compute_capability in engine.compute_capabilities for card in cuda.devices()[:1]
    )


class _Builder:
    """TensorRT's builder, its complaints and its progress."""

    def __init__(self, library: Library, say: Say) -> None:
        self._library = library
        self._trt = library.module
        self._say = say
        self._errors: list[str] = []
        self._stopped = Event()
        self._logger = library.logger(self._log)
        self._builder = self._trt.Builder(self._logger)
        if self._builder is None:
            raise self._failure("could not start")

    def parse(self, graph: Path) -> Any:
        flag = 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = self._builder.create_network(flag)
        parser = self._trt.OnnxParser(network, self._logger)
        if not parser.parse_from_file(str(graph)):
            found = [str(parser.get_error(index)) for index in range(parser.num_errors)]
            raise self._failure("can't read the graph", *found)
        return network

    def configure(self, network: Any, profiles: tuple[Profile, ...]) -> Any:
        """A configuration with these profiles; raises ExportError where a shape does not fit."""
        config = self._builder.create_builder_config()
        for profile in profiles:
            shapes = (profile.minimum, profile.optimum, profile.maximum)
            added = self._builder.create_optimization_profile()
            added.set_shape("waveform", *shapes)
            added.set_shape("lengths", *(shape[:1] for shape in shapes))
            if not added or config.add_optimization_profile(added) < 0:
                raise self._failure(f"takes no profile up to {profile.maximum}")
        names = [network.get_input(index).name for index in range(network.num_inputs)]
        if sorted(names) != ["lengths", "waveform"]:
            raise self._failure(f"the graph's inputs are {', '.join(names)}")
        config.progress_monitor = self._monitor()
        return config

    def target_all(self, config: Any) -> tuple[str, ...]:
        """Builds for all cards that can run the graph; returns their compute capabilities."""
        members = self._trt.ComputeCapability.__members__
        known = {n: value for n, value in members.items() if n.startswith("SM") and n != _TURING}
        config.num_compute_capabilities = len(known)
        for index, capability in enumerate(known.values()):
            config.set_compute_capability(capability, index)
        return tuple(f"{name[2:-1]}.{name[-1]}" for name in known)

    def build(self, network: Any, config: Any, capabilities: tuple[str, ...]) -> bytes:
        if self._library.name == "tensorrt_rtx":
            # It times nothing, and its timing caches do nothing.
            self._say("building the engine: tensorrt_rtx takes seconds to a minute")
            return self._compile(network, config)
        name = f"timing-{self._library.version}-{'-'.join(capabilities)}.cache"
        file = user_cache_path("emotion2vec") / name
        known = file.read_bytes() if file.is_file() else b""
        often = "less now that most kernels were timed" if known else "the first time on a card"
        self._say(f"building the engine: TensorRT times kernels on the card; many minutes, {often}")
        # A cache of another driver is refused, which costs time and nothing else.
        config.set_timing_cache(config.create_timing_cache(known), False)
        plan = self._compile(network, config)
        self._keep(config.get_timing_cache(), file)
        return plan

    def _compile(self, network: Any, config: Any) -> bytes:
        # On a thread of its own: an exception that a signal raises while this one is inside of the
        # builder would be lost there.
        with ThreadPoolExecutor(1, "build") as pool:
            building = pool.submit(self._builder.build_serialized_network, network, config)
            try:
                plan = building.result()
            except BaseException:
                self._stopped.set()
                raise
        if plan is None:
            raise self._failure("can't compile the graph")
        return bytes(plan)

    def _keep(self, cache: Any, file: Path) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(cache.serialize()))
        except OSError as error:
            self._say(f"the timing cache could not be kept: {error.strerror}")

    def _monitor(self) -> Any:
        say, stopped = self._say, self._stopped

        class Monitor(self._trt.IProgressMonitor):  # type: ignore[misc, name-defined]
            """Says how far the outermost phases are, and ends them when the build is stopped.

            Called from the builder's threads.
            """

            def __init__(self) -> None:
                super().__init__()
                self._steps: dict[str, tuple[int, float]] = {}

            def phase_start(self, name: str, parent: str | None, steps: int) -> None:
                if parent is None:
                    self._steps[name] = (steps, time.monotonic())

            def step_complete(self, name: str, step: int) -> bool:
                if name in self._steps:
                    steps, began = self._steps[name]
                    left = (time.monotonic() - began) / (step + 1) * (steps - step - 1)
                    say(f"building the engine: {name}, {step + 1} of {steps}, about {left:.0f} s")
                return not stopped.is_set()

            def phase_finish(self, name: str) -> None:
                self._steps.pop(name, None)

        return Monitor()

    def _log(self, level: str, message: str) -> None:
        if level == "error":
            self._errors.append(message)

    def _failure(self, what: str, *details: str) -> ExportError:
        reasons = (*details, *self._errors)
        return ExportError(f"{self._library.name} {what}" + (f": {reasons[0]}" if reasons else ""))


def _rows(seconds: float) -> int:
    return (
        MAX_BATCH_ROWS if seconds == 0 else min(MAX_BATCH_ROWS, int(MAX_BATCH_SECONDS // seconds))
    )


def load_engine(path: Path, engine: Engine) -> Backend:
    """The engine on this machine's first card, as the server runs it."""
    library = installed_libraries()[engine.library]
    return TensorRtBackend(
        path, engine, library, precision="fp16", device=cuda.devices()[0], instances=1
    )
