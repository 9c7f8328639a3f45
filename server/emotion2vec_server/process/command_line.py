"""The command line of the settings: what `--help` shows, and `--version`."""

from __future__ import annotations

import re
from argparse import ArgumentParser, RawDescriptionHelpFormatter, _ActionsContainer
from importlib.metadata import version
from inspect import cleandoc
from typing import Any

from pydantic_settings import BaseSettings, CliSettingsSource

_NAME = "emotion2vec-server"
_PLACEHOLDERS = {
    "int": "N",
    "Path": "FILE",
    "tuple[Path,...]": "DIR",
    "tuple[str,...]": "NAME",
    "str": "NAME",
}
"""For the types of Python, which say nothing to who reads the help."""
_NO_DEFAULT = re.compile(r" \(default: (None|\(\))\)")


def command_line(settings: type[BaseSettings]) -> CliSettingsSource[Any]:
    """Where pydantic reads `settings` from the command line."""
    parser = ArgumentParser(
        prog=_NAME,
        description=cleandoc(settings.__doc__ or ""),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version(_NAME))
    return CliSettingsSource(settings, root_parser=parser, add_argument_method=_add_argument)


def _add_argument(container: _ActionsContainer, *flags: str, **options: Any) -> Any:
    metavar = options.get("metavar")
    if metavar == "float":
        options["metavar"] = "SECONDS" if flags[0].endswith("seconds") else "SHARE"
    elif metavar in _PLACEHOLDERS:
        options["metavar"] = _PLACEHOLDERS[metavar]
    if isinstance(options.get("help"), str):
        text = _NO_DEFAULT.sub("", options["help"])
        options["help"] = text.replace("(default: ", "(")
    return container.add_argument(*flags, **options)
