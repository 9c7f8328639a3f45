"""The directory that a bundle goes to: what it holds already, and how it is replaced."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from emotion2vec_runtime.bundle import (
    MANIFEST,
    Artifact,
    Bundle,
    Kind,
    Label,
    Precision,
    Refusal,
    StreamFidelity,
    load_bundle,
)
from emotion2vec_runtime.errors import BundleError

from emotion2vec_export.errors import ExportError
from emotion2vec_export.workplace import Workplace

Form = tuple[Kind, Precision]
"""Kind and precision: a bundle holds one artefact of each."""


class Destination:
    """A bundle's directory. What a bundle there holds is never lost unless `replace` says so."""

    def __init__(self, directory: Path, *, replace: bool = False) -> None:
        """Raises ExportError where it is no bundle, or, without `replace`, one that can't be read.

        Args:
            replace: whether the bundle there is to go, whatever it holds.
        """
        self._directory = directory
        self._workplace = Workplace(directory)
        self._held: Bundle | None = None
        self._workplace.recover()
        if not directory.exists():
            return
        if not (directory / MANIFEST).is_file():
            if not directory.is_dir() or any(directory.iterdir()):
                raise ExportError(f"{directory} exists and is no bundle; name a new directory")
        elif not replace:
            self._held = self._read()

    @property
    def directory(self) -> Path:
        return self._directory

    def check(self, revision: str, labels: tuple[Label, ...], asked: Collection[Form]) -> None:
        """Raises ExportError where writing the `asked` forms of a model would lose others.

        Args:
            revision: of its weights, as in `Manifest.source_revision`.
        """
        if self._held is None:
            return
        held = self._held.manifest
        if (held.source_revision, held.labels) != (revision, labels):
            raise ExportError(
                f"{self._directory} holds {held.name} of another checkpoint "
                f"({held.source_revision}); name another directory, or write over it with --replace"
            )
        # An engine fits no other graph than the one that it was built from.
        if ("onnx", "fp16") in asked and ("tensorrt", "fp16") in self._forms() - set(asked):
            raise ExportError(
                f"{self._directory} holds a TensorRT engine of its fp16 graph; add --engine "
                "tensorrt, leave fp16 out, or give the engine up with --replace"
            )

    def kept_bytes(self, asked: Collection[Form]) -> int:
        """Size of the files that `keep` may copy."""
        held = self._held.manifest.artifacts if self._held else ()
        return sum(e.size for item in held if form_of(item) not in asked for e in item.files)

    def keep(self, made: Collection[Artifact], directory: Path) -> list[Artifact]:
        """Copies what the bundle holds beyond `made` into `directory`, where the new one grows.

        What belongs to a graph that is not among them any more is left behind: an engine, which
        nothing could run, and steps, whose weights are the graph's.

        Raises:
            ExportError: a file is not what the manifest says.
        """
        if self._held is None:
            return []
        forms = {form_of(artifact) for artifact in made}
        kept = [item for item in self._held.manifest.artifacts if form_of(item) not in forms]
        graphs = {item.sha256 for item in (*made, *kept) if item.kind == "onnx"}
        kept = [i for i in kept if i.engine is None or i.engine.onnx_sha256 in graphs]
        kept = [i for i in kept if i.kind != "step" or ("onnx", i.precision) not in forms]
        for artifact in kept:
            try:
                self._held.path(artifact)
            except BundleError as error:
                raise self._unreadable(error) from error
            for entry in artifact.files:
                shutil.copyfile(self._directory / entry.file, directory / entry.file)
        return kept

    def refused(self, asked: Collection[Form]) -> list[Refusal]:
        """What earlier exports of this model refused, and this one was not asked for."""
        held = self._held.manifest.refused if self._held else ()
        return [refusal for refusal in held if (refusal.kind, refusal.precision) not in asked]

    @property
    def streams(self) -> tuple[StreamFidelity, ...]:
        """What the bundle there says of live streams."""
        return self._held.manifest.streams if self._held else ()

    @contextmanager
    def replacing(self) -> Iterator[Path]:
        """A fresh directory beside it that takes its place once the block has succeeded.

        Raises:
            ExportError: a file can't be written, or another export is at work there.
        """
        output = self._directory
        try:
            with self._workplace.claim() as fresh:
                yield fresh
                self._workplace.replace()
        except OSError as error:
            raise ExportError(f"can't write {output}: {error.strerror or error}") from error

    def _forms(self) -> set[Form]:
        return {form_of(item) for item in self._held.manifest.artifacts} if self._held else set()

    def _read(self) -> Bundle:
        try:
            return load_bundle(self._directory)
        except BundleError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: BundleError) -> ExportError:
        return ExportError(
            f"{self._directory} holds a bundle that can't be kept ({error}); name another "
            "directory, or write over it with --replace"
        )


def form_of(artifact: Artifact) -> Form:
    return artifact.kind, artifact.precision
