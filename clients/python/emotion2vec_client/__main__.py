"""`emotion2vec`: the command line."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from emotion2vec_client.command.arguments import parser
from emotion2vec_client.command.extras import MissingExtraError
from emotion2vec_client.command.plugins import plugins, require_plugin
from emotion2vec_client.command.recognize import recognize
from emotion2vec_client.command.status import health, models
from emotion2vec_client.command.stream import stream
from emotion2vec_client.command.terminal import Terminal
from emotion2vec_client.connection import DEFAULT_SERVER
from emotion2vec_client.errors import RecognitionError

FAILED = 1
USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_COMMANDS = {"recognize": recognize, "stream": stream, "models": models, "health": health}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    terminal = Terminal()
    installed = plugins()
    try:
        require_plugin(next(iter(argv), ""), installed)
        arguments = parser(installed.values()).parse_args(argv)
        commands = _COMMANDS | {name: plugin.run for name, plugin in installed.items()}
        # A subcommand that needs no server has no such options.
        connection = _connection(arguments) if "server" in arguments else {}
        return commands[arguments.command](arguments, connection, terminal)
    except KeyboardInterrupt:
        terminal.error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep Python from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except RecognitionError as error:
        terminal.error(error.message)
        return FAILED
    except (MissingExtraError, ValueError, OSError) as error:
        terminal.error(str(error))
        return USAGE


def _connection(arguments: Namespace) -> dict[str, Any]:
    """The arguments of Client and AsyncClient."""
    connection = {
        "server": arguments.server or DEFAULT_SERVER,
        "secure": arguments.tls,
        "root_certificates": arguments.tls_ca,
        "client_certificate": arguments.tls_cert,
        "client_key": arguments.tls_key,
        "token": arguments.token,
    }
    if arguments.timeout is not None:
        connection["timeout"] = arguments.timeout
    return connection


if __name__ == "__main__":
    sys.exit(main())
