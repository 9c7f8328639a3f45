"""The `emotion2vec-server` command."""

from __future__ import annotations

import sys

import uvloop

from emotion2vec_server.app import run
from emotion2vec_server.config import read_settings
from emotion2vec_server.errors import ConfigError, StartupError
from emotion2vec_server.heap import keep_freed_memory
from emotion2vec_server.logs import configure_logging


def main() -> int:
    """Serves until SIGTERM or SIGINT. Exit status: 0 stopped, 1 could not start, 2 usage."""
    try:
        settings = read_settings(sys.argv[1:])
        configure_logging(settings.log_level, settings.log_format)
        keep_freed_memory()
        uvloop.run(run(settings))
    except ConfigError as error:
        print(f"emotion2vec-server: {error}", file=sys.stderr)
        return 2
    except StartupError as error:
        print(f"emotion2vec-server: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
