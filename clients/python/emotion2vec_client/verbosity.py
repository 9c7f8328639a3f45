"""How much gRPC itself writes on standard error: errors, as its documentation promises.

Unless GRPC_VERBOSITY is set, newer gRPC also writes what it takes note of ("Handshake failed", "Got
goaway"), beside the exception that tells the same. It reads the variable once, when it is imported,
so this is the first module that the package imports; the environment is left as it was.
"""

from __future__ import annotations

import os

_VARIABLE = "GRPC_VERBOSITY"

if _VARIABLE in os.environ:
    import grpc
else:
    os.environ[_VARIABLE] = "ERROR"
    try:
        import grpc  # noqa: F401
    finally:
        del os.environ[_VARIABLE]
