"""Checkpoints from ModelScope and Hugging Face, through their own libraries."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion2vec_export.errors import ExportError
from emotion2vec_export.layout import CONFIG, CONFIGURATION, TOKENS, Names, first_line, read_config
from emotion2vec_export.stand_in import refuse_stand_in

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_SHORT = re.compile(r"emotion2vec_(plus_(large|base|seed)|base(_finetuned)?)")
"""Names without an owner, as FunASR takes them."""
_OWNED = re.compile(r"((iic|emotion2vec)/)?(?=emotion2vec_)")
_MASTER = "master"
"""Of ModelScope's repositories. Without it older SDKs take the newest tag, and plus_large's has a
token list that masks five of the nine classes."""
_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Fetched:
    """A checkpoint on this machine, and where it is from."""

    directory: Path
    source: str
    """Hub and repository: `huggingface:emotion2vec/emotion2vec_plus_large`."""
    commit: str | None
    """Of the repository; on ModelScope, the one that last wrote the weights. None where the hub
    was away and its cache does not tell."""


def is_hub_id(source: str) -> bool:
    """Whether `source` has the form `owner/name`, or is a short name that FunASR knows."""
    return (_ID.fullmatch(source) or _SHORT.fullmatch(source)) is not None


def download(source: str, hub: str) -> Fetched:
    """Fetches a checkpoint into the hub's own cache, or finds it there; progress goes to stderr.

    What describes the model comes first, so that another architecture's weights, gigabytes
    perhaps, are never asked for. Where the hub is away, what its cache holds is taken.

    Args:
        source: id such as `iic/emotion2vec_plus_large`, or `emotion2vec_plus_large`.
        hub: one of HUBS.

    Raises:
        ExportError: the hub can't be reached, does not have it, or it is no emotion2vec.
    """
    client = HUBS[hub]
    # The hubs keep the same models under different owners.
    repository = _OWNED.sub(f"{client.owner}/", source, count=1)
    described = client.fetch(repository, [CONFIGURATION, *TOKENS, CONFIG], None)
    names = Names(described.directory)
    if not (described.directory / names.config).is_file():
        raise ExportError(
            f"{described.source} has no {names.config}, so it is no FunASR checkpoint; name an "
            "emotion2vec checkpoint, such as iic/emotion2vec_plus_large"
        )
    refuse_stand_in(described.directory / names.config)
    read_config(described.directory / names.config)
    wanted = [names.config, CONFIGURATION, *names.tokens, names.weights]
    fetched = client.fetch(repository, wanted, described.commit)
    if not (fetched.directory / names.weights).is_file():
        raise ExportError(
            f"{fetched.source} lacks its weights, {names.weights}, here: run this again with the "
            "network there, or download the model elsewhere and name its directory"
        )
    return fetched


@dataclass(frozen=True, slots=True)
class Hub:
    """One hub: `fetch(repository, files, commit)` fetches what there is of the files.

    A cached copy stands in for a hub that is away if it has the last of them. `commit` is what an
    earlier call returned, so that all files are of one, or None.
    """

    owner: str
    """Of emotion2vec's checkpoints there."""
    fetch: Callable[[str, Sequence[str], str | None], Fetched]


def _from_modelscope(repository: str, files: Sequence[str], commit: str | None) -> Fetched:
    from modelscope import snapshot_download
    from modelscope_hub.errors import HubError

    for name in ("modelscope", "modelscope_hub"):  # They warn of every retry.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    source = f"modelscope:{repository}"
    try:
        directory = Path(
            snapshot_download(repository, revision=_MASTER, allow_patterns=list(files))
        )
        return Fetched(directory, source, _modelscope_commit(repository, files[-1]))
    except HubError as error:
        cached = _modelscope_cache(repository)
        if cached is None or not (cached / files[-1]).is_file():
            raise _failure(repository, "modelscope", "huggingface", error) from error
        return Fetched(cached, source, commit)
    except (OSError, ValueError) as error:
        raise _failure(repository, "modelscope", "huggingface", error) from error


def _modelscope_cache(repository: str) -> Path | None:
    """What an earlier download left, whole or not."""
    from modelscope import snapshot_download
    from modelscope_hub.errors import HubError

    try:
        return Path(snapshot_download(repository, revision=_MASTER, local_files_only=True))
    except (HubError, OSError, ValueError):
        return None


def _modelscope_commit(repository: str, file: str) -> str | None:
    """Of the commit that last wrote a file."""
    from modelscope_hub import HubApi

    # The SDK's own listing leaves the commits out.
    entries = HubApi().legacy.list_repo_files(repository, "model", revision=_MASTER)
    return next((entry.get("Revision") for entry in entries if entry.get("Path") == file), None)


def _from_huggingface(repository: str, files: Sequence[str], commit: str | None) -> Fetched:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        # It turns to its cache by itself.
        directory = Path(snapshot_download(repository, revision=commit, allow_patterns=list(files)))
    except (HTTPError, OSError, ValueError) as error:
        raise _failure(repository, "huggingface", "modelscope", error) from error
    # Its cache names snapshots by their commit.
    return Fetched(directory, f"huggingface:{repository}", directory.name)


def _failure(repository: str, hub: str, other: str, error: Exception) -> ExportError:
    return ExportError(
        f"{repository} is no directory here, and can't be had from {hub}; check the name and the "
        f"network, try --hub {other}, or download the model elsewhere and name its directory "
        f"({first_line(error)[:_REASON_LENGTH]})"
    )


HUBS: Mapping[str, Hub] = {
    "modelscope": Hub("iic", _from_modelscope),
    "huggingface": Hub("emotion2vec", _from_huggingface),
}
