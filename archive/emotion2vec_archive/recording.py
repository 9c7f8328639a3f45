"""One recording of an archive: where it lies, and what tells whether it has changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recording:
    """A file, here or at a URI, as it was found."""

    path: str
    """As given, or as found below a directory that was given; bytes that are no UTF-8 as
    `os.fsdecode` has them."""
    size: int | None
    """Bytes; None where the file system does not say."""
    version: str
    """What changes with the contents: time of the last change, or an ETag; may be empty."""
