"""Which TensorRT is installed here. The only file that imports one.

There are two with nearly one API: `tensorrt`, for data-centre cards, builds for the card that is
there; `tensorrt_rtx`, for RTX cards, builds anywhere, and compiles for the card when it loads. What
both have (`tensorrt` 10.13 and later) is what the engine's builder and its backend keep to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from emotion2vec_runtime.bundle import LibraryName


class Library(NamedTuple):
    """An installed TensorRT."""

    name: LibraryName
    version: str
    module: Any

    def logger(self, sink: Any) -> Any:
        """Passes warnings and errors, and in the builder information, to `sink(level, message)`.

        `level` is "error", "warning" or "info".
        """

        class Logger(self.module.ILogger):  # type: ignore[misc, name-defined]
            def log(self, severity: Any, message: str) -> None:
                level = {"INTERNAL_ERROR": "error", "ERROR": "error", "WARNING": "warning"}
                if severity.name != "VERBOSE":
                    sink(level.get(severity.name, "info"), message)

        return Logger()


def installed_libraries() -> dict[LibraryName, Library]:
    """All that can be imported, `tensorrt` first."""
    found: dict[LibraryName, Library] = {}
    # A library without its own libraries fails with OSError.
    try:
        import tensorrt
    except (ImportError, OSError):
        pass
    else:
        found["tensorrt"] = Library("tensorrt", tensorrt.__version__, tensorrt)
    try:
        import tensorrt_rtx
    except (ImportError, OSError):
        pass
    else:
        found["tensorrt_rtx"] = Library("tensorrt_rtx", tensorrt_rtx.__version__, tensorrt_rtx)
    return found
