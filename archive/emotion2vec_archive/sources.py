"""What the arguments stand for: files, folders, patterns and lists here, and URIs by fsspec."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
from emotion2vec_client.audio import SHORT_BYTES
from emotion2vec_client.command.inputs import AUDIO_SUFFIXES, LeftOut, Missing, expand

from emotion2vec_archive.recording import Recording

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# What file systems call it that changes with the contents.
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
_BLOCK_BYTES = 2 * 2**20
"""Read of a large remote file at once."""


def is_uri(path: str) -> bool:
    """Whether a path is one for fsspec; a letter and a colon is a Windows drive."""
    return _URI.match(path) is not None


def find(
    arguments: Iterable[str], left_out: LeftOut, suffixes: frozenset[str] = AUDIO_SUFFIXES
) -> Iterator[Recording | Missing]:
    """The recordings that the arguments stand for, each once.

    Args:
        arguments: paths, directories, patterns and URIs.
        left_out: counts what was found in directories and is not tried.
        suffixes: of what is tried there.
    """
    local: list[str] = []
    remote: list[str] = []
    for argument in arguments:
        (remote if is_uri(argument) else local).append(argument)
    # All at once: `expand` knows a file by two names.
    yield from _local(local, left_out, suffixes)
    seen: set[str] = set()
    for uri in remote:
        for found in _remote(uri, left_out, suffixes):
            if isinstance(found, Missing) or found.path not in seen:
                yield found
            if isinstance(found, Recording):
                seen.add(found.path)


def read_list(file: BinaryIO) -> Iterator[str]:
    """The paths of a list: one a line, or ended by NUL as `find -print0` writes them."""
    data = file.read()
    separator = b"\0" if b"\0" in data else b"\n"
    for line in data.split(separator):
        path = line.rstrip(b"\r") if separator == b"\n" else line
        if path.strip():
            yield os.fsdecode(path)


def _local(
    arguments: list[str], left_out: LeftOut, suffixes: frozenset[str]
) -> Iterator[Recording | Missing]:
    for found in expand(arguments, left_out, suffixes):
        if isinstance(found, Path):
            yield _stated(found)
        elif isinstance(found, Missing):
            yield found
        else:
            yield Missing(str(found), "in a list it would be a recording without a name")


def _stated(path: Path) -> Recording | Missing:
    try:
        status = path.stat()
    except OSError as error:
        return Missing(str(path), error.strerror or str(error))
    return Recording(str(path), status.st_size, str(status.st_mtime_ns))


def _remote(uri: str, left_out: LeftOut, suffixes: frozenset[str]) -> Iterator[Recording | Missing]:
    try:
        files, path = fsspec.core.url_to_fs(uri)
        found = list(_listed(files, path))
    except ImportError as error:
        yield Missing(uri, str(error))
        return
    except (OSError, ValueError) as error:
        yield Missing(uri, f"can't be read: {error}")
        return
    if not found:
        yield Missing(uri, "no such file, and nothing below it")
    for info, is_named in found:
        suffix = PurePosixPath(info["name"]).suffix.lower()
        if is_named or suffix in suffixes:
            yield Recording(files.unstrip_protocol(info["name"]), info["size"], _version(info))
        else:
            left_out.reasons[suffix or "without suffix"] += 1


def _listed(files: Any, path: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """The files that a path stands for, and whether it names them outright."""
    if any(sign in path for sign in "*?[") and not files.exists(path):
        for info in files.glob(path, detail=True).values():
            if info["type"] == "file":
                yield info, True
    elif files.isdir(path):
        for info in files.find(path, detail=True).values():
            if not PurePosixPath(info["name"]).name.startswith("."):
                yield info, False
    elif files.exists(path):
        yield files.info(path), True


def _version(info: dict[str, Any]) -> str:
    return next((str(info[key]) for key in _VERSION_KEYS if info.get(key)), "")


def open_audio(recording: Recording) -> Path | bytes | BinaryIO:
    """What the client sends of a recording; short ones are read, long ones only opened. Blocks.

    Raises:
        OSError: it can't be read.
    """
    if not is_uri(recording.path):
        path = Path(recording.path)
        if recording.size is not None and recording.size <= SHORT_BYTES:
            return path.read_bytes()
        return path
    files, path_there = fsspec.core.url_to_fs(recording.path)
    if recording.size is not None and recording.size <= SHORT_BYTES:
        return cast(bytes, files.cat_file(path_there))
    return cast(BinaryIO, files.open(path_there, "rb", block_size=_BLOCK_BYTES))


def list_file(name: str) -> list[str]:
    """The paths in a list file; "-" is standard input.

    Raises:
        OSError: it can't be read.
    """
    if name == "-":
        return list(read_list(sys.stdin.buffer))
    with Path(name).open("rb") as file:
        return list(read_list(file))
