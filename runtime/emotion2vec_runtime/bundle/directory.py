"""The model bundle on disk: a directory with `manifest.json` and the artefacts it names.

A bundle is never trusted: names may not leave its directory, every file must have the size that
the manifest states, and every file that is used its SHA-256. Hashing 1.25 GB takes 0.7 s, so that
it goes on beside loading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from emotion2vec_runtime.bundle.manifest import Artifact, FileEntry, Manifest
from emotion2vec_runtime.errors import BundleError

MANIFEST = "manifest.json"


class Bundle:
    """A bundle directory whose manifest is sound, and whose files are there in the right size."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest
        self._verified: set[FileEntry] = set()

    @contextmanager
    def verifying(self, artifact: Artifact) -> Iterator[Path]:
        """The path of an artefact, to be loaded in the block, while its weights are still hashed.

        The graph itself, which is to be parsed, is verified before. What was loaded must not run
        before the block has ended.

        Raises:
            BundleError: on entry or at the block's end: a file differs from its hash.
        """
        self._verify(artifact)
        with ThreadPoolExecutor(1, "verify") as hashing:
            checks = [hashing.submit(self._verify, entry) for entry in artifact.external_data]
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

    def _verify(self, entry: FileEntry) -> None:
        """Once for each file: artefacts may share one."""
        if entry in self._verified:
            return
        if _digest(_find(self.directory, entry)) != entry.sha256:
            raise _differs(self.directory / entry.file)
        self._verified.add(entry)


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
