"""Models that are named by their hub's id: exported once into the user's cache, then served."""

from __future__ import annotations

import atexit
import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from emotion2vec_runtime.bundle import MANIFEST, Manifest, load_bundle
from emotion2vec_runtime.errors import BundleError, ConfigError, LoadError
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from emotion2vec_server.process import tether

# Never imported: it brings torch, which serving does without.
_EXPORTER = "emotion2vec_export"
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*|emotion2vec_[a-z_]+", re.ASCII)
"""`iic/emotion2vec_plus_base`, or FunASR's short name for it."""
_WAITING_LOG_SECONDS = 30.0
_log = logging.getLogger(__name__)


def bundle_directory(model: Path, *, precision: str, provider: str) -> Path:
    """Where the bundle of a `--model` is: the directory itself, or what its id was exported to.

    The export of an id that the cache does not have takes minutes, and reports on stderr. Where
    two servers ask for one at once, the second waits for the first.

    Args:
        model: a directory, or a hub's id.
        precision: what the server is to run; for "auto" also the quicker form that the provider
            would choose.
        provider: where it is to run.

    Raises:
        ConfigError: it is an id, and the exporter is not installed.
        LoadError: it can't be exported, and the exporter has said why.
    """
    if not is_hub_id(model):
        return model
    name = model.as_posix()
    wanted = _precisions(precision, provider)
    bundle = user_cache_path("emotion2vec-server", appauthor=False) / "bundles" / name
    if not _missing(wanted, _manifest(bundle)):
        return bundle
    if find_spec(_EXPORTER) is None:
        raise ConfigError(
            f"--model {name} is no directory here, and to export it the exporter is missing: "
            "install emotion2vec-export beside the server, or elsewhere and run "
            f"{shlex.join(['emotion2vec-export', *_arguments(name, Path('DIR'), wanted)])}, "
            "and give --model DIR"
        )
    try:
        bundle.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(bundle):
            if missing := _missing(wanted, _manifest(bundle)):
                _export(name, bundle, missing)
    except OSError as error:
        raise LoadError(f"can't write to the cache, {bundle.parent}: {error.strerror}") from error
    return bundle


def is_hub_id(model: Path) -> bool:
    """Whether a `--model` is an id, and neither a directory nor one whose name was mistyped."""
    there = model.exists() or (len(model.parts) > 1 and model.parent.is_dir())
    return not there and _ID.fullmatch(model.as_posix()) is not None


def _precisions(precision: str, provider: str) -> tuple[str, ...]:
    if precision != "auto":
        return tuple(dict.fromkeys(("fp32", precision)))
    if provider == "auto":
        # Where ONNX Runtime is missing, this is where to say so.
        from emotion2vec_runtime.backends.onnx_runtime import available_providers

        provider = next(found.name for found in available_providers() if found.automatic)
    return ("fp32", "int8" if provider == "cpu" else "fp16")


def _manifest(bundle: Path) -> Manifest | None:
    """Of a bundle in the cache; None where there is none that can be read."""
    if not (bundle / MANIFEST).is_file():
        return None
    try:
        return load_bundle(bundle).manifest
    except BundleError as error:
        _log.warning(f"{bundle} is exported again: {error}")
        return None


def _missing(wanted: Sequence[str], manifest: Manifest | None) -> tuple[str, ...]:
    """What to export: nothing, or all that is wanted or there. What was refused stays refused."""
    if manifest is None:
        return tuple(wanted)
    held = [artifact.precision for artifact in manifest.artifacts]
    refused = [refusal.precision for refusal in manifest.refused]
    if {*wanted} <= {*held, *refused}:
        return ()
    return tuple(dict.fromkeys((*wanted, *held)))


def _only_one(bundle: Path) -> FileLock:
    lock = FileLock(bundle.with_name(f".{bundle.name}.lock"))
    patience = 0.0
    while True:
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            _log.info(f"another server is exporting {bundle.name}: waiting for it")
            patience = _WAITING_LOG_SECONDS
        else:
            return lock


def _arguments(name: str, bundle: Path, precisions: Sequence[str]) -> list[str]:
    return [name, "--output", str(bundle), "--precision", *precisions]


def _export(name: str, bundle: Path, precisions: Sequence[str]) -> None:
    _log.info(f"exporting {name} to {bundle}, once; this takes minutes")
    # The hub may have other weights by now, which no form of the old ones goes with.
    arguments = [*_arguments(name, bundle, precisions), "--replace"]
    command = [sys.executable, "-m", tether.__name__, _EXPORTER, *arguments]
    # Its tables too: a server's stdout says nothing.
    process = subprocess.Popen(  # noqa: S603 (no shell, and the name has an id's form)
        command, stdin=subprocess.PIPE, stdout=sys.stderr.fileno()
    )
    # A server that is told to stop in the meantime does not wait for this thread.
    atexit.register(process.terminate)
    try:
        status = process.wait()
    finally:
        atexit.unregister(process.terminate)
    if status != 0:
        raise LoadError(f"--model {name}: the export failed with status {status}, see above")
