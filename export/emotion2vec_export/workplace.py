"""Where a directory grows before it takes its place: beside it, and one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emotion2vec_export.errors import ExportError


class Workplace:
    """Replaces a directory whole or not at all, whenever the process is killed.

    The new one grows in `.NAME.new`, which is its own lock: whoever has it knows that nobody else
    is at work, so that what lies in there is a dead process's, and goes. The old one steps aside to
    `.NAME.old`, from where `recover` brings it back.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._new = target.with_name(f".{target.name}.new")
        self._old = target.with_name(f".{target.name}.old")

    def recover(self) -> None:
        """Undoes what a process left that was killed between the two renames of `replace`."""
        if not self._target.exists():
            with suppress(OSError):
                self._old.rename(self._target)

    @contextmanager
    def claim(self) -> Iterator[Path]:
        """An empty directory for this process alone, gone after the block; `replace` keeps it.

        Raises:
            ExportError: another process is at work there.
            OSError: the file system says no.
        """
        self._target.parent.mkdir(parents=True, exist_ok=True)
        lock = self._lock()
        try:
            _empty(self._new)
            yield self._new
        finally:
            if _same(lock, self._new):
                shutil.rmtree(self._new, ignore_errors=True)
            os.close(lock)

    def replace(self) -> None:
        """What grew takes its place. Raises OSError where it can't."""
        if self._old.exists():
            shutil.rmtree(self._old)
        if self._target.exists():
            # A directory that is not empty can't be renamed over.
            self._target.rename(self._old)
        try:
            self._new.rename(self._target)
        except OSError:
            self.recover()
            raise
        shutil.rmtree(self._old, ignore_errors=True)

    def _lock(self) -> int:
        """An open file that locks `.NAME.new`, which is made where there is none."""
        while True:
            self._new.mkdir(exist_ok=True)
            try:
                lock = os.open(self._new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except FileNotFoundError:  # Another process has just ended.
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(lock)
                raise ExportError(
                    f"another export is writing {self._target}; let it end, or name another "
                    "directory"
                ) from error
            if _same(lock, self._new):
                return lock
            os.close(lock)


def _same(file: int, path: Path) -> bool:
    """Whether an open file is what lies at `path`."""
    try:
        return os.path.samestat(os.fstat(file), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
