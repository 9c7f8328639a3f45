"""PATH arguments -> audio files: files, directories, and patterns that no shell has expanded."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac"}
)


@dataclass(frozen=True, slots=True)
class Missing:
    """An argument that stands for no file."""

    argument: str
    reason: str


def expand(arguments: Iterable[str]) -> Iterator[Path | Missing]:
    """The files that the arguments stand for, in their order, each once.

    Directories are searched through and give files with an audio suffix only; a file named
    outright is taken whatever its name. A file whose name looks like a pattern is that file.
    """
    seen: set[Path] = set()
    for argument in arguments:
        for found in _expand_one(argument):
            if isinstance(found, Missing):
                yield found
                continue
            real = Path(os.path.realpath(found))
            if real not in seen:
                seen.add(real)
                yield found


def _expand_one(argument: str) -> Iterator[Path | Missing]:
    path = Path(argument)
    if path.is_dir():
        yield from _search(path)
    elif os.path.lexists(path):
        yield path
    elif glob.has_magic(argument):
        yield from _match(argument)
    else:
        yield Missing(argument, "no such file or directory")


def _match(pattern: str) -> Iterator[Path | Missing]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207, Path has no such glob
    if not matches:
        yield Missing(pattern, "no file matches this pattern")
    for match in matches:
        path = Path(match)
        if not path.is_dir():
            yield path
        elif not pattern.endswith("**"):
            # With "**" the files below come as matches of their own.
            yield from _search(path)


def _search(directory: Path) -> Iterator[Path | Missing]:
    files = sorted(
        path
        for path in directory.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not _hidden(path, directory)
    )
    if not files:
        yield Missing(str(directory), "no audio files in this directory")
    yield from files


def _hidden(path: Path, directory: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(directory).parts)
