"""Optional parts of the installation."""

from __future__ import annotations

import importlib


class MissingExtraError(Exception):
    """An option needs a package that is not installed; the message says how to get it."""


def require(module: str, extra: str, purpose: str) -> None:
    """Imports `module`, which only the extra `extra` brings.

    Raises:
        MissingExtraError: it is not installed, or can't be loaded.
    """
    try:
        importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(
            f"{purpose} needs {module}; install it with: pip install 'emotion2vec-client[{extra}]'"
        ) from None
    except OSError as error:
        # sounddevice itself is there, but not the C library below it.
        raise MissingExtraError(
            f"{purpose}: {module} can't be loaded ({error}); on Debian or Ubuntu, "
            "apt install libportaudio2"
        ) from error
