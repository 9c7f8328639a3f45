"""Subcommands that other distributions bring, so that the client stays small.

Each is an entry point of the group `emotion2vec.commands`, named as the subcommand: a module that
imports little, with `add` and `run`.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from emotion2vec_client.command.extras import MissingExtraError
from emotion2vec_client.command.terminal import Terminal

GROUP = "emotion2vec.commands"
_BROUGHT_BY = {"score": "emotion2vec-archive", "report": "emotion2vec-archive"}


class Plugin(Protocol):
    """The module of a subcommand."""

    def add(
        self,
        commands: argparse._SubParsersAction[argparse.ArgumentParser],
        connection: argparse.ArgumentParser,
    ) -> None:
        """Adds its parser; `connection` is a parent with the options that name a server."""

    def run(
        self, arguments: argparse.Namespace, connection: dict[str, Any], terminal: Terminal
    ) -> int:
        """Runs it and returns the exit code; `connection` are the arguments of AsyncClient."""


def plugins() -> Mapping[str, Plugin]:
    """Those that are installed, as a whole, by the name of their subcommand."""
    found = {}
    for entry in entry_points(group=GROUP):
        # One that is broken must not break the other commands.
        with contextlib.suppress(ImportError):
            found[entry.name] = cast(Plugin, entry.load())
    return found


def require_plugin(name: str, installed: Mapping[str, Plugin]) -> None:
    """Makes sure that a subcommand is there, if it is one that a distribution of ours brings.

    Raises:
        MissingExtraError: it is not installed.
    """
    if name in _BROUGHT_BY and name not in installed:
        distribution = _BROUGHT_BY[name]
        raise MissingExtraError(
            f"{name} comes with {distribution}, which is not installed, or not as a whole: "
            f"pip install {distribution}"
        )
