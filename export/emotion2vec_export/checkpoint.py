"""A FunASR model directory, read without running anything that is in it."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from emotion2vec_export.config import ModelConfig, parse_model_config
from emotion2vec_export.errors import ExportError
from emotion2vec_export.labels import UNKNOWN_TOKEN, Classes, parse_tokens
from emotion2vec_export.layout import Layout, first_line, read_config
from emotion2vec_export.weights import HEAD, renamed, select_weights

_NESTED = ("state_dict", "model_state_dict", "model")
"""Keys that FunASR looks through, in this order, to find the weights in a checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that an export needs to know of a checkpoint."""

    directory: Path
    config: ModelConfig
    classes: Classes | None
    """None for a checkpoint without a classifier: it gives embeddings only."""
    weights: dict[str, Tensor]
    """float32, under FunASR's names. They lie in the file, and are read where they are used."""
    stored: dict[str, Tensor]
    """The same as the file has them: its names, its types."""
    sha256: str
    """Of the file of weights."""

    def release(self) -> None:
        """Lets go of the weights, and so of the memory that they were read into."""
        self.weights.clear()
        self.stored.clear()


def read_checkpoint(directory: Path, *, allow_extra: bool = False) -> Checkpoint:
    """Reads `config.yaml`, the token list and the weights of a FunASR directory.

    Args:
        allow_extra: whether weights that the configured model does not have are ignored.

    Raises:
        ExportError: a file is missing or malformed, the configuration is not supported, or
            configuration, token list and weights do not belong together.
    """
    if not directory.is_dir():
        raise ExportError(f"{directory} is no directory; name a FunASR model directory or a hub id")
    files = Layout(directory)
    options = read_config(files.config)
    config = parse_model_config(options.get("model_conf"))
    scope_map = _scope_map(options)
    stored = _read_state(files.weights)
    names = {name: renamed(name, scope_map) for name in stored}
    state = {names[name]: value for name, value in stored.items()}
    classes = None
    if not state.keys().isdisjoint(HEAD):
        classes = parse_tokens(_read_tokens(files, options))
    weights = select_weights(
        config, classes.total if classes else 0, state, allow_extra=allow_extra
    )
    stored = {name: value for name, value in stored.items() if names[name] in weights}
    with files.weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Checkpoint(directory, config, classes, weights, stored, sha256)


def _scope_map(options: Mapping[str, Any]) -> list[str]:
    scopes = options.get("scope_map") or []
    if isinstance(scopes, str):
        scopes = scopes.split(",")
    if not isinstance(scopes, list) or len(scopes) % 2:
        raise ExportError("config.yaml: scope_map is no list of pairs of prefixes")
    return [str(scope) for scope in scopes]


def _read_tokens(files: Layout, options: Mapping[str, Any]) -> list[str]:
    """One token a class, from a file, or from `tokenizer_conf.token_list` in the configuration."""
    tokens: object = None
    if files.tokens is None:
        tokenizer = options.get("tokenizer_conf")
        tokens = tokenizer.get("token_list") if isinstance(tokenizer, dict) else None
        if tokens is None:
            raise ExportError(
                "the checkpoint has a classifier but no tokens.txt that names classes"
            )
    else:
        try:
            text = files.tokens.read_text(encoding="utf-8")
            json_list = files.tokens.suffix == ".json"
            tokens = (
                json.loads(text) if json_list else [line.rstrip() for line in text.splitlines()]
            )
        except (OSError, ValueError, RecursionError) as error:
            raise ExportError(f"{files.tokens} can't be read: {error}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ExportError("the token list is no list of labels")
    _check_tokens(tokens, options)
    return tokens


def _check_tokens(tokens: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raises ExportError where FunASR would refuse the list, or count a class too many."""
    if tokens and not tokens[-1].strip():
        raise ExportError(
            "the token list ends in an empty line, which FunASR takes for one class more; delete it"
        )
    tokenizer = options.get("tokenizer_conf")
    unknown = tokenizer.get("unk_symbol", UNKNOWN_TOKEN) if isinstance(tokenizer, dict) else None
    if unknown is not None and unknown not in tokens:
        raise ExportError(
            f"the token list lacks {unknown}, which FunASR asks for; if a class stands for all "
            f"else, name it {unknown}, else set tokenizer_conf.unk_symbol in config.yaml to any "
            "of the labels"
        )


def _read_state(path: Path) -> dict[str, Tensor]:
    """Loads the weights with `weights_only=True`: a pickle that calls anything is refused.

    They stay in the file: what training keeps beside them, twice their size, is never read. Only
    PyTorch before 1.6 wrote files for which that is not possible.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ExportError(
            f"{path} is not loaded: it holds more than weights, which could run code, or is no "
            "checkpoint at all; save its state_dict alone"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} is no PyTorch checkpoint: {first_line(error)}") from error
    for key in _NESTED:
        if isinstance(content, dict) and key in content:
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise ExportError(f"{path} holds no weights")
    # Pretraining keeps a second model there, whole; inference never reads it.
    weights = {str(n): value for n, value in content.items() if "_ema" not in str(n).split(".")}
    odd = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if odd:
        raise ExportError(f"{path} holds entries that are no weights: {', '.join(odd[:5])}")
    return weights
