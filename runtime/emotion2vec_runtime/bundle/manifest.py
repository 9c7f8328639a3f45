"""What a bundle says of itself: the schema of `manifest.json`."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION: Literal[1] = 1

Precision = Literal["fp32", "int8", "fp16"]
LibraryName = Literal["tensorrt", "tensorrt_rtx"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=255)]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Strict):
    """One class. `name` is English and lower case, `native_name` in the authors' language."""

    name: str = Field(min_length=1)
    native_name: str = ""


class FileEntry(_Strict):
    """One file of the bundle, beside the manifest."""

    file: FileName
    sha256: Sha256
    size: int = Field(ge=0)


class TensorSpec(_Strict):
    """One input or output of a graph; a name in `shape` is a dynamic axis."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class ParityRow(_Strict):
    """One comparison with PyTorch. Differences are the largest ones over all values.

    `probability_difference` is absolute, and None where the model has no classifier.
    `frame_embedding_difference` is each channel's over max(1, its RMS in the clip): a trained
    norm may make a channel large, and rounding grows with it.
    """

    case: str
    seconds: float
    probability_difference: float | None
    embedding_cosine: float
    frame_embedding_difference: float
    decides: bool = True
    """Whether the bound holds for it. Silence and a single frame are reported only: rounding does
    not average out over frames that are all alike."""

    @model_validator(mode="before")
    @classmethod
    def _of_older_bundles(cls, values: Any) -> Any:
        """Rows without speech once had bounds of their own, which the export saw to."""
        if isinstance(values, dict) and "bound" in values:
            own = values["bound"]
            values = {name: value for name, value in values.items() if name != "bound"}
            values["decides"] = own is None
        return values

    @property
    def difference(self) -> float:
        """What `Parity.bound` binds: of probabilities, or of embeddings where there are none."""
        if self.probability_difference is None:
            return self.frame_embedding_difference
        return self.probability_difference


class Parity(_Strict):
    """What the export measured against `reference` before it wrote the artefact."""

    reference: str
    bound: float
    rows: tuple[ParityRow, ...]
    mean_bound: float | None = None
    """Of the rows' differences on average, where that is bound as well."""

    @property
    def mean(self) -> float:
        """Of the differences of the rows that decide; 0 where none does."""
        differences = [row.difference for row in self.rows if row.decides]
        return sum(differences) / max(1, len(differences))

    @property
    def passed(self) -> bool:
        largest = max((row.difference for row in self.rows if row.decides), default=0.0)
        return largest <= self.bound and (self.mean_bound is None or self.mean <= self.mean_bound)


class Profile(_Strict):
    """One TensorRT optimisation profile: (batch, samples) at its minimum, optimum and maximum."""

    minimum: tuple[int, int]
    optimum: tuple[int, int]
    maximum: tuple[int, int]


class Engine(_Strict):
    """What a serialised TensorRT engine was built with, and so needs to run."""

    library: LibraryName
    version: str
    compute_capabilities: tuple[str, ...] = Field(min_length=1)
    """Of the cards it runs on, as "9.0"."""
    profiles: tuple[Profile, ...] = Field(min_length=1)
    onnx_sha256: Sha256
    """Of the graph in the same bundle that it was built from."""


Kind = Literal["onnx", "step", "tensorrt"]
"""Of an artefact: an ONNX graph of whole clips, one of a step of live streams, an engine."""


class Artifact(FileEntry):
    """One runnable form of the model."""

    kind: Kind
    precision: Precision
    external_data: tuple[FileEntry, ...] = ()
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parity: Parity | None = None
    """None: not measured, as of an engine that was built where no card could run it."""
    engine: Engine | None = None
    context: int | None = Field(default=None, ge=0)
    """Of a step: features before its first frame that it needs, in frames."""
    scheme: str | None = None
    """Which form of its precision it is, where the export chose one by measurement."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kind == "tensorrt") != (self.engine is not None):
            raise ValueError("a TensorRT artefact, and no other, has an engine")
        if self.kind != "tensorrt" and self.parity is None:
            raise ValueError("a graph without parity was never checked")
        if (self.kind == "step") != (self.context is not None):
            raise ValueError("a step, and no other artefact, has a context")
        return self

    @property
    def faithful(self) -> bool:
        """Whether it was compared with PyTorch, and found close enough."""
        return self.parity is not None and self.parity.passed

    @property
    def files(self) -> tuple[FileEntry, ...]:
        return (self, *self.external_data)


class Refusal(_Strict):
    """An artefact that was asked for and left out, for it is too far from PyTorch."""

    kind: Kind
    precision: Precision
    reason: str
    """Which clip, by how much, and what the bound is; or why it could not be made at all."""
    parity: Parity | None = None
    """The rows that are furthest beyond the bounds, worst first."""


StreamMode = Literal["windowed", "incremental"]
STEPS_MARGIN = 0.1
"""How much further from whole recordings steps may be than windows, as a share of the windows'
difference, and still be the default: they run a frame 1.8 times where windows run it 6 times, and
what the export can measure in a minute turns by some percent with the choice of speech."""


class StreamFidelity(_Strict):
    """How close the frames of a live stream in one mode came to those of the whole recording."""

    mode: StreamMode
    window_seconds: float
    """Of the window, or of the keys that are kept."""
    hop_seconds: float
    lookahead_seconds: float
    difference: float = Field(ge=0)
    """A frame's is the largest of its classes' differences in probability; this is their mean."""
    agreement: float = Field(ge=0, le=1)
    """Share of the frames whose leading label is the same."""


class Manifest(_Strict):
    """All that is known of a model. Sample counts are at `sample_rate`."""

    format_version: Literal[1] = FORMAT_VERSION
    name: ModelName
    source: str
    source_revision: str
    source_commit: str | None = None
    """Of the hub's repository that it was fetched from."""
    demo: bool = False
    labels: tuple[Label, ...]
    """In class order; empty for a model without a classifier, which gives embeddings only."""
    sample_rate: Literal[16000] = 16000
    frame_hop: int = Field(gt=0)
    frame_field: int = Field(gt=0)
    embedding_size: int = Field(gt=0)
    normalize: bool
    opset: int
    exporter: dict[str, str]
    artifacts: tuple[Artifact, ...] = Field(min_length=1)
    refused: tuple[Refusal, ...] = ()
    streams: tuple[StreamFidelity, ...] = ()
    """In fp32, a row a mode; none of older bundles, and of models without steps."""

    @property
    def prefers_steps(self) -> bool:
        """Whether windowed streams are not closer by more than `STEPS_MARGIN`, or not compared."""
        difference = {row.mode: row.difference for row in self.streams}
        if len(difference) < 2:
            return True
        return difference["incremental"] <= (1 + STEPS_MARGIN) * difference["windowed"]

    @cached_property
    def version(self) -> str:
        """Short hash that changes whenever a weight or a graph does."""
        joined = "".join(entry.sha256 for artifact in self.artifacts for entry in artifact.files)
        return hashlib.sha256(joined.encode()).hexdigest()[:12]

    def frame_count(self, samples: int) -> int:
        """Frames of `samples` samples: floor((n - field) / hop) + 1, never negative."""
        return max(0, (samples - self.frame_field) // self.frame_hop + 1)
