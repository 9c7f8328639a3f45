"""Every error that a model at work can raise. Messages are for a person: what is wrong, what to do.

A `RequestError` carries the canonical status (`google.rpc.Code`) that a server answers with; each
door translates it once, at its edge.
"""

from __future__ import annotations

from typing import ClassVar


class Emotion2vecError(Exception):
    """Base of all errors raised on purpose."""


class LoadError(Emotion2vecError):
    """A model can't be loaded: raise for anything that must be mended on this machine first."""


class ConfigError(LoadError):
    """What is wished for (a provider, a precision, a setting) is unknown or not to be had here."""


class MissingLibraryError(LoadError, ImportError):
    """A library that an extra brings is not installed; the message says which extra."""


class BundleError(LoadError):
    """A model bundle is missing, broken, tampered with or of another format version."""


class RequestError(Emotion2vecError):
    """One request failed; others are not concerned."""

    status: ClassVar[str] = "INTERNAL"
    """Name of its `google.rpc.Code`."""
    retry_after: float | None = None
    """Seconds after which a new try may succeed; None when it won't."""


class InvalidRequestError(RequestError):
    """The request itself is wrong; `field` is the path of the offending field on the wire."""

    status = "INVALID_ARGUMENT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TooLargeError(RequestError):
    """The audio is longer than may be taken at once. A retry won't help."""

    status = "RESOURCE_EXHAUSTED"


class BusyError(RequestError):
    """There is no room for it now; a later try may succeed."""

    status = "UNAVAILABLE"
    retry_after = 1.0


class InferenceError(RequestError):
    """The model failed on this input; it is logged, and the message holds no internals."""

    status = "INTERNAL"


class OutOfMemoryError(Emotion2vecError):
    """A backend could not allocate memory for a batch: a smaller batch may still run."""
