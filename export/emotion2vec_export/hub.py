"""Checkpoints from ModelScope and Hugging Face, through their own libraries."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from emotion2vec_export.errors import ExportError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_FILES = ["model.pt", "config.yaml", "configuration.json", "tokens.txt", "tokens.json"]
"""All that an export reads; code, examples and pictures stay where they are."""
_REASON_LENGTH = 300


def is_hub_id(source: str) -> bool:
    """Whether `source` has the form `owner/name`."""
    return _ID.fullmatch(source) is not None


def download(source: str, hub: str) -> Path:
    """Fetches a checkpoint into the hub's own cache, or finds it there; progress goes to stderr.

    Args:
        source: id such as `iic/emotion2vec_plus_large`.
        hub: one of HUBS.

    Raises:
        ExportError: the hub can't be reached, or does not have it.
    """
    return HUBS[hub](source)


def _from_modelscope(source: str) -> Path:
    from modelscope import snapshot_download
    from modelscope_hub.errors import HubError

    for name in ("modelscope", "modelscope_hub"):  # They warn of every retry.
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return Path(snapshot_download(source, allow_patterns=_FILES))
    except (HubError, OSError, ValueError) as error:
        raise _failure(source, "modelscope", "huggingface", error) from error


def _from_huggingface(source: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    # What ModelScope keeps under iic/, Hugging Face keeps under emotion2vec/.
    source = re.sub(r"^iic/(?=emotion2vec)", "emotion2vec/", source)
    try:
        return Path(snapshot_download(source, allow_patterns=_FILES))
    except (HTTPError, OSError, ValueError) as error:
        raise _failure(source, "huggingface", "modelscope", error) from error


def _failure(source: str, hub: str, other: str, error: Exception) -> ExportError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return ExportError(
        f"can't get {source} from {hub}; check the id and the network, try --hub {other}, or "
        f"download the model elsewhere and name its directory ({reason[:_REASON_LENGTH]})"
    )


HUBS: Mapping[str, Callable[[str], Path]] = {
    "modelscope": _from_modelscope,
    "huggingface": _from_huggingface,
}
