"""The model bundle on disk: a directory with `manifest.json` and the artefacts it names.

`emotion2vec-export` writes it, the server reads it. A bundle is never trusted: names may not leave
its directory, every file must have the size that the manifest states, and every file that is used
its SHA-256. Hashing 1.25 GB takes 0.7 s, so that it goes on beside loading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from emotion2vec_server.errors import BundleError

FORMAT_VERSION: Literal[1] = 1
MANIFEST = "manifest.json"

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
    """One comparison with PyTorch. Differences are the largest absolute ones over all values.

    `probability_difference` is None where the model has no classifier.
    """

    case: str
    seconds: float
    probability_difference: float | None
    embedding_cosine: float
    frame_embedding_difference: float
    bound: float | None = None
    """Instead of `Parity.bound`: of a clip that holds no speech, such as silence."""

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

    @property
    def passed(self) -> bool:
        return all(row.difference <= self.bound_of(row) for row in self.rows)

    def bound_of(self, row: ParityRow) -> float:
        return self.bound if row.bound is None else row.bound


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


class Artifact(FileEntry):
    """One runnable form of the model."""

    kind: Literal["onnx", "tensorrt"]
    precision: Precision
    external_data: tuple[FileEntry, ...] = ()
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parity: Parity | None = None
    """None: not measured, as of an engine that was built where no card could run it."""
    engine: Engine | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kind == "tensorrt") != (self.engine is not None):
            raise ValueError("a TensorRT artefact, and no other, has an engine")
        if self.kind == "onnx" and self.parity is None:
            raise ValueError("a graph without parity was never checked")
        return self

    @property
    def faithful(self) -> bool:
        """Whether it was compared with PyTorch, and found close enough."""
        return self.parity is not None and self.parity.passed

    @property
    def files(self) -> tuple[FileEntry, ...]:
        return (self, *self.external_data)


class Manifest(_Strict):
    """All that is known of a model. Sample counts are at `sample_rate`."""

    format_version: Literal[1] = FORMAT_VERSION
    name: ModelName
    source: str
    source_revision: str
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

    @cached_property
    def version(self) -> str:
        """Short hash that changes whenever a weight or a graph does."""
        joined = "".join(entry.sha256 for artifact in self.artifacts for entry in artifact.files)
        return hashlib.sha256(joined.encode()).hexdigest()[:12]

    def frame_count(self, samples: int) -> int:
        """Frames of `samples` samples: floor((n - field) / hop) + 1, never negative."""
        return max(0, (samples - self.frame_field) // self.frame_hop + 1)


class Bundle:
    """A bundle directory whose manifest is sound, and whose files are there in the right size."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest

    @contextmanager
    def verifying(self, artifact: Artifact) -> Iterator[Path]:
        """The path of an artefact, to be loaded in the block, while its weights are still hashed.

        The graph itself, which is to be parsed, is verified before. What was loaded must not run
        before the block has ended.

        Raises:
            BundleError: on entry or at the block's end: a file differs from its hash.
        """
        _verify(self.directory, artifact)
        with ThreadPoolExecutor(1, "verify") as hashing:
            checks = [
                hashing.submit(_verify, self.directory, entry) for entry in artifact.external_data
            ]
            try:
                yield self.directory / artifact.file
            finally:
                for check in checks:
                    check.result()

    def path(self, artifact: Artifact) -> Path:
        """Where an artefact lies, once all its files are verified.

        Raises:
            BundleError: a file differs from its hash.
        """
        with self.verifying(artifact) as path:
            return path


def load_bundle(directory: Path) -> Bundle:
    """Reads the manifest in `directory`; files are verified when they are used.

    Raises:
        BundleError: the directory, the manifest or an artefact is missing, malformed, of another
            format version, or differs from the manifest's size.
    """
    path = directory / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{directory} is no model bundle: can't read {MANIFEST} ({error}); "
            "make one with emotion2vec-export"
        ) from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{path}: {_summary(error)}; export the model again") from error
    for artifact in manifest.artifacts:
        for entry in artifact.files:
            _find(directory, entry)
    return Bundle(directory, manifest)


def describe_file(path: Path) -> FileEntry:
    """The manifest entry of an existing file."""
    return FileEntry(file=path.name, sha256=_digest(path), size=path.stat().st_size)


def _find(directory: Path, entry: FileEntry) -> Path:
    """The file of an entry, in the right size."""
    path = directory / entry.file
    if path.is_symlink() and path.resolve().parent != directory.resolve():
        raise BundleError(f"{path} is a link out of its bundle; copy the file into it")
    if not path.is_file():
        raise BundleError(f"{path} is missing; copy the whole bundle, or export the model again")
    if path.stat().st_size != entry.size:
        raise _differs(path)
    return path


def _verify(directory: Path, entry: FileEntry) -> None:
    path = _find(directory, entry)
    if _digest(path) != entry.sha256:
        raise _differs(path)


def _differs(path: Path) -> BundleError:
    return BundleError(f"{path} differs from its manifest; export the model again")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _summary(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "manifest"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg']}{more}"
