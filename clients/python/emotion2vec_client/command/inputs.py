"""PATH arguments -> recordings: files, directories, patterns that no shell has expanded, "-"."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

_SUFFIXES = """
    .3g2 .3gp .aac .ac3 .adts .aif .aifc .aiff .amr .asf .au .avi .awb .caf .eac3 .flac .flv .latm
    .loas .m4a .m4b .m4r .m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpga .oga .ogg .ogv .opus .snd .spx
    .w64 .wav .wave .weba .webm .wma .wmv
"""
AUDIO_SUFFIXES = frozenset(_SUFFIXES.split())
"""Of files that are tried where a directory is searched: the server may know them."""
RAW_SUFFIXES = frozenset({".al", ".alaw", ".f32", ".lpcm", ".pcm", ".raw", ".s16", ".ul", ".ulaw"})
"""The same where the encoding of raw samples is named."""


class StandardInput(Enum):
    """The type of STANDARD_INPUT."""

    DASH = "-"

    def __str__(self) -> str:
        return "standard input"


STANDARD_INPUT = StandardInput.DASH


@dataclass(frozen=True, slots=True)
class Missing:
    """An argument that stands for no file."""

    argument: str
    reason: str


@dataclass(slots=True)
class LeftOut:
    """What was found in a directory and not tried, by reason."""

    reasons: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def __str__(self) -> str:
        """One sentence, the most frequent reason first."""
        total = self.reasons.total()
        counts = ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common())
        return f"{total} {'file was' if total == 1 else 'files were'} left out: {counts}"


Input = Path | StandardInput | Missing


def expand(
    arguments: Iterable[str],
    left_out: LeftOut | None = None,
    suffixes: frozenset[str] = AUDIO_SUFFIXES,
) -> Iterator[Input]:
    """The recordings that the arguments stand for, in their order, each once.

    Directories are searched through, behind links too, for files with one of the suffixes; what is
    not hidden and not tried is counted in `left_out`. A file named outright is taken whatever its
    name. A file whose name looks like a pattern is that file.
    """
    seen: set[Path] = set()
    search = _Search(LeftOut() if left_out is None else left_out, suffixes)
    for argument in arguments:
        for found in search.expand(argument):
            if not isinstance(found, Path):
                yield found
                continue
            real = Path(os.path.realpath(found))
            if real not in seen:
                seen.add(real)
                yield found


class _Search:
    """Looks for recordings; each directory is searched once."""

    def __init__(self, left_out: LeftOut, suffixes: frozenset[str]) -> None:
        self._left_out = left_out
        self._suffixes = suffixes
        self._searched: set[str] = set()

    def expand(self, argument: str) -> Iterator[Input]:
        path = Path(argument)
        if argument == STANDARD_INPUT.value:
            yield STANDARD_INPUT
        elif path.is_dir():
            yield from self._within(path)
        elif os.path.lexists(path):
            yield path
        elif glob.has_magic(argument):
            yield from self._match(argument)
        else:
            yield Missing(argument, "no such file or directory")

    def _match(self, pattern: str) -> Iterator[Input]:
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207, Path has no such glob
        if not matches:
            yield Missing(pattern, "no file matches this pattern")
        for match in matches:
            path = Path(match)
            if not path.is_dir():
                yield path
            elif not pattern.endswith("**"):
                # With "**" the files below come as matches of their own.
                yield from self._within(path)

    def _within(self, directory: Path) -> Iterator[Input]:
        real = os.path.realpath(directory)
        if real in self._searched:
            return
        before = self._left_out.reasons.total()
        files = sorted(self._walk(directory))
        if not files and self._left_out.reasons.total() == before:
            yield Missing(str(directory), "no audio files in this directory")
        yield from files

    def _walk(self, directory: Path) -> Iterator[Path]:
        # A link may lead back to where it lies.
        real = os.path.realpath(directory)
        if real in self._searched:
            return
        self._searched.add(real)
        try:
            entries = [entry for entry in directory.iterdir() if not entry.name.startswith(".")]
        except OSError:
            self._left_out.reasons["unreadable"] += 1
            return
        for entry in entries:
            if entry.is_dir():
                yield from self._walk(entry)
            elif reason := self._why_not(entry):
                self._left_out.reasons[reason] += 1
            else:
                yield entry

    def _why_not(self, path: Path) -> str | None:
        suffix = path.suffix.lower()
        if suffix not in self._suffixes:
            return suffix or "without suffix"
        if not path.exists():
            return "broken link"
        return None if path.is_file() else "no regular file"
