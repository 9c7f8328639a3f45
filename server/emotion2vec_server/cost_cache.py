"""Measured costs, kept on disk for the next start on the same machine with the same model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotion2vec_server.cost import CostModel, Point

_log = logging.getLogger(__name__)


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    batch: int = Field(ge=1)
    frames: int = Field(ge=1)
    seconds: float = Field(gt=0, allow_inf_nan=False)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    key: dict[str, str]
    points: Annotated[list[_Row], Field(min_length=1)]


def cache_directory() -> Path:
    """`emotion2vec-server` in the user's cache directory (XDG Base Directory Specification)."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a relative path.
    base = Path(root) if Path(root).is_absolute() else Path.home() / ".cache"
    return base / "emotion2vec-server"


def processor() -> str:
    """The processor's model name, or the closest thing that this system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


class CostCache:
    """Cost models by key: all that a measurement depends on, such as processor or GPU, cores,
    threads, instances, provider, runtime version, bundle version, precision and batch limits."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, key: Mapping[str, str]) -> CostModel | None:
        """The cost model of this very key; None where there is none that can be read."""
        path = self._path(key)
        try:
            record = _Record.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            _log.warning(f"{path} can't be used and will be measured again: {error}")
            return None
        if record.key != dict(key):
            return None
        return CostModel([Point(row.batch, row.frames, row.seconds) for row in record.points])

    def store(self, key: Mapping[str, str], model: CostModel) -> None:
        """Writes the file in one step. A cache that can't be written costs only time."""
        rows = [_Row(**point._asdict()) for point in model.points]
        text = _Record(key=dict(key), points=rows).model_dump_json(indent=1)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self._directory, suffix=".tmp", delete=False
            ) as file:
                file.write(text)
            Path(file.name).replace(self._path(key))
        except OSError as error:
            _log.warning(f"can't keep the measured costs in {self._directory}: {error}")

    def _path(self, key: Mapping[str, str]) -> Path:
        digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
        return self._directory / f"cost-{digest[:16]}.json"
