"""Files that lie where a checkpoint's should, and are something else."""

from __future__ import annotations

from pathlib import Path

from emotion2vec_export.errors import ExportError

_HEAD = 512
"""Bytes that tell."""
_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html", b"<head")


def refuse_stand_in(path: Path) -> None:
    """Raises ExportError where a file is what a failed download leaves in the place of one."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ExportError(f"{path} can't be read: {error.strerror}") from error
    if head.startswith(_LFS):
        raise ExportError(
            f"{path} is a git-lfs pointer, which stands for the file: run `git lfs pull` in "
            f"{path.parent}, or download the file itself"
        )
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML):
        raise ExportError(
            f"{path} is an HTML page, as a browser or a proxy saves in the place of a file; "
            "download the file itself"
        )
