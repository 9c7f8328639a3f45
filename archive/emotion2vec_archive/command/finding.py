"""What the arguments of `emotion2vec score` stand for."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass, field

from emotion2vec_client.command.arguments import raw_format
from emotion2vec_client.command.inputs import AUDIO_SUFFIXES, RAW_SUFFIXES, LeftOut, Missing
from emotion2vec_client.command.terminal import Terminal, shown

from emotion2vec_archive.recording import Recording
from emotion2vec_archive.sources import find, list_file

_TOLD = 5
"""Arguments that stand for nothing, told one by one."""


@dataclass(slots=True)
class Found:
    """What the arguments stand for."""

    recordings: list[Recording] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)


def find_recordings(arguments: Namespace, terminal: Terminal) -> Found:
    """Finds what the arguments stand for, and tells what is not there.

    Raises:
        ValueError: they stand for nothing.
        OSError: a list can't be read.
    """
    suffixes = AUDIO_SUFFIXES if raw_format(arguments) is None else RAW_SUFFIXES
    found = Found()
    for one in find(_paths(arguments), found.left_out, suffixes):
        if isinstance(one, Missing):
            found.missing.append(one)
        else:
            found.recordings.append(one)
    _tell_missing(found.missing, terminal)
    if not found.recordings:
        raise ValueError("there is nothing to score")
    return found


def _paths(arguments: Namespace) -> Iterable[str]:
    for path in arguments.paths:
        if path == "-":
            yield from list_file(path)
        else:
            yield path
    if arguments.list is not None:
        yield from list_file(arguments.list)


def _tell_missing(missing: list[Missing], terminal: Terminal) -> None:
    for one in missing[:_TOLD]:
        terminal.error(f"{shown(one.argument)}: {one.reason}")
    if len(missing) > _TOLD:
        terminal.error(f"{len(missing) - _TOLD} more paths are not there")
