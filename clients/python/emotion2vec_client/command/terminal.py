"""Text for people: what fits the terminal it goes to, and a bar chart of scores."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from emotion2vec_client.command.colors import color_of
from emotion2vec_client.results import EmotionScore

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BAR = 30
_ERASE = "\r\033[K"


class Terminal:
    """Standard output and standard error of one run."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.is_live = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self._color = self.is_live and "NO_COLOR" not in os.environ
        self._blocks = _can_write(self.out, _EIGHTHS)
        self._can_erase = self.err.isatty() and os.environ.get("TERM") != "dumb"
        self._has_status = False

    def status(self, text: str) -> None:
        """A line on standard error that stands until there is anything else to say; nothing where
        that is no terminal."""
        if not self._can_erase:
            return
        width = shutil.get_terminal_size().columns - 1
        self.err.write(_ERASE + _writable(self.err, text)[:width])
        self.err.flush()
        self._has_status = True

    def end_status(self) -> None:
        if self._has_status:
            self.err.write(_ERASE)
            self.err.flush()
            self._has_status = False

    def print(self, text: str = "") -> None:
        self.end_status()
        self.out.write(_writable(self.out, text) + "\n")
        self.out.flush()

    def print_json(self, value: dict[str, Any]) -> None:
        """One line of JSON, in which is escaped what the output can't hold."""
        self.end_status()
        text = as_json(value, self.out.encoding or "utf-8")
        self.out.write(text + "\n")
        self.out.flush()

    def error(self, text: str) -> None:
        """One line on standard error."""
        self.end_status()
        self.err.write(_writable(self.err, f"emotion2vec: {' '.join(text.split())}") + "\n")
        self.err.flush()

    def paint(self, text: str, label: str, index: int = 0) -> str:
        """`text` in the colour of an emotion, where there are colours."""
        if not self._color:
            return text
        red, green, blue = bytes.fromhex(color_of(label, index)[1:])
        return f"\033[38;2;{red};{green};{blue}m{text}\033[0m"

    def bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._color else text

    def faint(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self._color else text

    def bars(self, scores: Sequence[EmotionScore]) -> Iterator[str]:
        """One line a score, highest first."""
        if not scores:
            return
        names = max(len(score.label) for score in scores)
        place = {score.label: index for index, score in enumerate(scores)}
        for score in sorted(scores, key=lambda score: -score.probability):
            bar = self.paint(self._bar(score.probability), score.label, place[score.label])
            line = f"  {score.label:<{names}}  {bar} {score.probability:6.1%}"
            yield f"{line}  {self.faint(score.native_label)}".rstrip()

    def _bar(self, share: float) -> str:
        if not self._blocks:
            return ("#" * round(share * _BAR)).ljust(_BAR)
        whole, eighths = divmod(round(min(max(share, 0.0), 1.0) * _BAR * 8), 8)
        return ("█" * whole + (_EIGHTHS[eighths] if eighths else "")).ljust(_BAR)


def shown(path: str | Path) -> str:
    """A file name as text that can be printed: no control characters, no undecodable bytes."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) == "Cc" else character
        for character in text
    )


def as_json(value: object, encoding: str = "utf-8") -> str:
    """JSON that can be encoded: names that are no UTF-8 come as escaped surrogates."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text


def _can_write(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _writable(stream: TextIO, text: str) -> str:
    """What the stream's encoding can't hold becomes "?", rather than an error."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
