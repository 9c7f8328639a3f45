"""Checkpoint -> graph -> precision -> parity -> bundle."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from emotion2vec_runtime.backends.base import Backend
from emotion2vec_runtime.backends.onnx_runtime import OnnxRuntimeBackend, OnnxStepBackend
from emotion2vec_runtime.backends.providers import provider_named
from emotion2vec_runtime.bundle import (
    MANIFEST,
    Artifact,
    Kind,
    Manifest,
    Parity,
    Precision,
    Refusal,
    StreamFidelity,
    describe_file,
)
from emotion2vec_runtime.errors import LoadError

from emotion2vec_export.checkpoint import Checkpoint
from emotion2vec_export.destination import Destination, Form
from emotion2vec_export.errors import ExportError, UnfaithfulError
from emotion2vec_export.fitted import Fitted
from emotion2vec_export.freed import give_back
from emotion2vec_export.graph import (
    OPSET,
    external_data,
    tensor_specs,
    write_graph,
    write_step_graph,
)
from emotion2vec_export.parity import ParityCheck, require_faithful
from emotion2vec_export.precision import RECIPES
from emotion2vec_export.reference import FunAsr, write_weights
from emotion2vec_export.requirements import Requirements, requirements
from emotion2vec_export.sharing import share_weights
from emotion2vec_export.step import Step, positional_context
from emotion2vec_export.stepping import StepCheck, Stepped
from emotion2vec_export.stream_fidelity import stream_fidelity
from emotion2vec_export.weights import load_model

_COMMON_STAGES = 2
"""Before the forms that are asked for, each of which is one."""
_TOOLS = ("torch", "onnx", "onnxruntime", "funasr", "emotion2vec-export")


class Progress(Protocol):
    """Hears how an export goes on."""

    def begin(self, steps: int, needed: Requirements) -> None: ...

    def step(self, what: str) -> None: ...

    def detail(self, what: str) -> None: ...

    def measured(self, precision: str, parity: Parity) -> None: ...

    def unmeasured(self, precision: str, why: str) -> None: ...

    def kept(self, what: str) -> None: ...


def export_bundle(
    checkpoint: Checkpoint,
    destination: Destination,
    *,
    name: str,
    source: str,
    precisions: Sequence[Precision],
    progress: Progress,
    commit: str | None = None,
    engine: bool = False,
    demo: bool = False,
) -> Manifest:
    """Writes the bundle of a checkpoint, whole or not at all; its weights are released on the way.

    A precision that differs too much from FunASR is left out, and the manifest says so; all that
    a bundle at `destination` holds of this checkpoint and that is not made anew is kept. With
    `engine` it gets a TensorRT engine too, and the fp16 graph that this is built from.

    Raises:
        ExportError: nothing that was asked for passed, the destination holds what would be lost,
            or a file can't be written.
        UnfaithfulError: the fp32 graph differs from FunASR by more than it may.
    """
    graphs: list[Precision] = [*precisions, "fp16"] if engine else [*precisions]
    # First fp32: where it fails, nothing else is worth its time.
    graphs = sorted(dict.fromkeys(graphs), key=lambda precision: precision != "fp32")
    asked: list[Form] = [("onnx", precision) for precision in graphs]
    stages = _COMMON_STAGES
    if may_step(checkpoint):
        stages += 1
        asked += [("step", name) for name in graphs if RECIPES[name].convert_step is not None]
    asked += [("tensorrt", "fp16")] if engine else []
    revision = f"sha256:{checkpoint.sha256}"
    labels = checkpoint.classes.labels if checkpoint.classes else ()
    destination.check(revision, labels, asked)
    needed = requirements(checkpoint, asked, destination.kept_bytes(asked))
    needed.check_disk(destination.directory)
    progress.begin(stages + len(asked), needed)
    with destination.replacing() as directory:
        audio = checkpoint.config.audio
        forms = _Forms(checkpoint, directory, progress)
        artifacts, refused = forms.make(asked)
        files = {entry.file for artifact in artifacts for entry in artifact.files}
        for file in directory.iterdir():
            if file.name not in files:
                file.unlink()
        kept = destination.keep(artifacts, directory)
        for artifact in kept:
            progress.kept(_name_of(artifact.kind, artifact.precision))
        manifest = Manifest(
            name=name,
            source=source,
            source_revision=revision,
            source_commit=commit,
            demo=demo,
            labels=labels,
            frame_hop=audio.frame_hop,
            frame_field=audio.frame_field,
            embedding_size=checkpoint.config.embed_dim,
            normalize=checkpoint.config.normalize,
            opset=OPSET,
            exporter={tool: version(tool) for tool in _TOOLS},
            artifacts=(*artifacts, *kept),
            refused=(*refused, *destination.refused(asked)),
            streams=forms.streams or destination.streams,
        )
        text = manifest.model_dump_json(indent=2)
        (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")
        return manifest


def describe_refusal(refusal: Refusal) -> str:
    """For people: what was refused, and by how much."""
    return f"{_name_of(refusal.kind, refusal.precision)} ({refusal.reason})"


def _name_of(kind: str, precision: str) -> str:
    return {"onnx": precision, "step": f"{precision} steps"}.get(kind, "the TensorRT engine")


def may_step(checkpoint: Checkpoint) -> bool:
    """Whether live streams of the model can go in steps: it scores frames, and the features of a
    frame are its own."""
    return checkpoint.classes is not None and checkpoint.config.audio.extractor_mode == "layer_norm"


class _Forms:
    """Makes the runnable forms of a checkpoint's model, and compares each with FunASR."""

    def __init__(self, checkpoint: Checkpoint, directory: Path, progress: Progress) -> None:
        self._directory = directory
        self._progress = progress
        self._config = checkpoint.config
        self._labels = checkpoint.classes.labels if checkpoint.classes else ()
        self._fitted: dict[Precision, Fitted | None] = {}
        self._graphs: dict[Precision, Path] = {}
        self.streams: tuple[StreamFidelity, ...] = ()
        self._frame_field = checkpoint.config.audio.frame_field
        # One after the other, so that the model is never in memory twice.
        progress.step("loading FunASR, and hearing what it says of the test audio")
        self._check = self._hear(checkpoint)
        progress.step("exporting the graph")
        self._flat, self._flat_step = directory / "flat.onnx", directory / "flat.step.onnx"
        self._trace(checkpoint)

    def _hear(self, checkpoint: Checkpoint) -> ParityCheck:
        weights = self._directory / "weights.pt"
        write_weights(checkpoint.stored, weights)
        reference = FunAsr(checkpoint.directory, checkpoint.classes, weights)
        check = ParityCheck(reference, self._frame_field)
        weights.unlink()
        del reference
        give_back()
        return check

    def _trace(self, checkpoint: Checkpoint) -> None:
        model = load_model(checkpoint.config, checkpoint.classes, checkpoint.weights)
        write_graph(model, self._flat)
        if may_step(checkpoint):
            self._progress.step("exporting the steps of live streams")
            write_step_graph(Step(model), self._flat_step)
            self._step_check = StepCheck(model)
        del model
        checkpoint.release()
        give_back()

    def make(self, asked: Sequence[Form]) -> tuple[list[Artifact], list[Refusal]]:
        """What passed, and what did not.

        Raises:
            ExportError: fp32 failed, or everything did.
        """
        made: list[Artifact] = []
        refused: list[Refusal] = []
        for kind, precision in asked:
            if kind == "step" and any(refusal.precision == precision for refusal in refused):
                # They have the graph's own matrices.
                continue
            give_back()
            try:
                match kind:
                    case "onnx":
                        made.append(self._graph(precision))
                    case "step":
                        made.append(self._step(precision))
                    case _:
                        made.append(self._engine(made))
            except ExportError as error:
                parity = error.parity if isinstance(error, UnfaithfulError) else None
                refused.append(
                    Refusal(kind=kind, precision=precision, reason=str(error), parity=parity)
                )
                if (kind, precision) == ("onnx", "fp32"):
                    break
        if not made:
            reasons = ", ".join(describe_refusal(refusal) for refusal in refused)
            error_class = ExportError if refused[0].parity is None else UnfaithfulError
            raise error_class(f"{reasons} was refused; no bundle was written")
        return made, refused

    def _graph(self, precision: Precision) -> Artifact:
        self._progress.step(f"making {precision}, and comparing it with FunASR")
        recipe = RECIPES[precision]
        refused: UnfaithfulError | None = None
        for path, scheme, fitted in recipe.convert(self._flat, self._directory):
            parity = self._check.measure(_loaded(path, precision), recipe.bounds)
            self._progress.measured(
                precision if scheme is None else f"{precision}, {scheme}", parity
            )
            try:
                require_faithful(parity, recipe.bounds)
            except UnfaithfulError as error:
                refused = error
            else:
                self._fitted[precision] = fitted
                self._graphs[precision] = path
                return _artifact(path, "onnx", precision, parity, scheme=scheme)
        assert refused is not None  # noqa: S101 - a recipe has a candidate
        raise refused

    def _step(self, precision: Precision) -> Artifact:
        """One step over a whole clip is compared with FunASR, several with the model in torch."""
        what = _name_of("step", precision)
        self._progress.step(f"making {what}, and comparing them with FunASR")
        recipe = RECIPES[precision]
        assert recipe.convert_step is not None  # noqa: S101 - it was asked for
        path = recipe.convert_step(self._flat_step, self._directory, self._fitted.get(precision))
        share_weights(path, self._graphs[precision])
        context = positional_context(self._config)
        backend = OnnxStepBackend(path, provider_named("cpu"), context=context)
        whole = self._check.measure(Stepped(backend, self._config, precision), recipe.bounds)
        rows = (*whole.rows, *self._step_check.rows(backend, precision))
        parity = whole.model_copy(update={"rows": rows})
        self._progress.measured(what, parity)
        require_faithful(parity, recipe.bounds)
        if precision == "fp32":
            self._progress.detail("comparing live streams with whole recordings")
            whole_clips = _loaded(self._graphs[precision], precision)
            self.streams = stream_fidelity(whole_clips, backend, self._config, self._labels)
        return _artifact(path, "step", precision, parity, context=context)

    def _engine(self, made: Sequence[Artifact]) -> Artifact:
        """Built from the fp16 graph; where a card can run it, it is compared with FunASR."""
        # An export without an engine needs neither CUDA nor TensorRT.
        from emotion2vec_export.engine import build_engine, can_run, load_engine

        fp16 = next((artifact for artifact in made if artifact.precision == "fp16"), None)
        if fp16 is None:
            raise ExportError("the fp16 graph, which it is built from, was refused")
        self._progress.step("building the TensorRT engine")
        path, engine = build_engine(
            self._directory / fp16.file,
            self._directory,
            frame_field=self._frame_field,
            onnx_sha256=fp16.sha256,
            say=self._progress.detail,
        )
        parity = None
        if can_run(engine):
            self._progress.detail("comparing the engine with FunASR")
            bounds = RECIPES["fp16"].bounds
            parity = self._check.measure(load_engine(path, engine), bounds)
            self._progress.measured("the TensorRT engine", parity)
            require_faithful(parity, bounds)
        else:
            self._progress.unmeasured("the TensorRT engine", "there is no card here to run it")
        entry = describe_file(path)
        return Artifact(
            file=entry.file,
            sha256=entry.sha256,
            size=entry.size,
            kind="tensorrt",
            precision="fp16",
            inputs=fp16.inputs,
            outputs=fp16.outputs,
            parity=parity,
            engine=engine,
        )


def _loaded(path: Path, precision: Precision) -> Backend:
    try:
        return OnnxRuntimeBackend(path, provider_named("cpu"), precision=precision)
    except LoadError as error:
        raise ExportError(f"the exported graph can't be loaded: {error}") from error


def _artifact(
    path: Path,
    kind: Kind,
    precision: Precision,
    parity: Parity,
    *,
    scheme: str | None = None,
    context: int | None = None,
) -> Artifact:
    inputs, outputs = tensor_specs(path)
    entry = describe_file(path)
    return Artifact(
        file=entry.file,
        sha256=entry.sha256,
        size=entry.size,
        kind=kind,
        precision=precision,
        external_data=tuple(describe_file(file) for file in external_data(path)),
        inputs=inputs,
        outputs=outputs,
        parity=parity,
        context=context,
        scheme=scheme,
    )
