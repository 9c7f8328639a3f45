"""The `emotion2vec-server` command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from emotion2vec_runtime.errors import ConfigError, LoadError

from emotion2vec_server.errors import StartupError
from emotion2vec_server.process.app import run
from emotion2vec_server.process.heap import keep_freed_memory
from emotion2vec_server.process.logs import configure_logging
from emotion2vec_server.process.settings import read_settings


def main() -> int:
    """Serves until SIGTERM or SIGINT. Exit status: 0 stopped, 1 could not start, 2 usage."""
    try:
        settings = read_settings(sys.argv[1:])
        configure_logging(settings.log_level, settings.log_format)
        keep_freed_memory()
        _run(run(settings))
    except ConfigError as error:
        return _fail(error, 2)
    except (StartupError, LoadError) as error:
        return _fail(error, 1)
    return 0


def _run(work: Coroutine[Any, Any, None]) -> None:
    """On uvloop, which is faster, where it exists: not on Windows."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def _fail(error: Exception, status: int) -> int:
    print(f"emotion2vec-server: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
