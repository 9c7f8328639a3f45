"""Bundles: what `emotion2vec-export` writes and everything else reads."""

from emotion2vec_runtime.bundle.directory import MANIFEST, Bundle, describe_file, load_bundle
from emotion2vec_runtime.bundle.manifest import (
    Artifact,
    Engine,
    FileEntry,
    Kind,
    Label,
    LibraryName,
    Manifest,
    ModelName,
    Parity,
    ParityRow,
    Precision,
    Profile,
    Refusal,
    StreamFidelity,
    StreamMode,
    TensorSpec,
)

__all__ = [
    "MANIFEST",
    "Artifact",
    "Bundle",
    "Engine",
    "FileEntry",
    "Kind",
    "Label",
    "LibraryName",
    "Manifest",
    "ModelName",
    "Parity",
    "ParityRow",
    "Precision",
    "Profile",
    "Refusal",
    "StreamFidelity",
    "StreamMode",
    "TensorSpec",
    "describe_file",
    "load_bundle",
]
