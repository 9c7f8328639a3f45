"""A FunASR model directory, read without running anything that is in it."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor
from yaml import YAMLError  # type: ignore[import-untyped]

from emotion2vec_export.config import MODEL_CLASS, ModelConfig, parse_model_config
from emotion2vec_export.errors import ExportError
from emotion2vec_export.labels import UNKNOWN_TOKEN, Classes, parse_tokens
from emotion2vec_export.stand_in import refuse_stand_in
from emotion2vec_export.weights import HEAD, rename, select_weights

_CONFIGURATION = "configuration.json"
_CONFIG = "config.yaml"
_WEIGHTS = "model.pt"
_TOKENS = ("tokens.txt", "tokens.json")
_TOKENIZERS = (None, "CharTokenizer")
_COMPANIONS = ("vad_model", "punc_model", "spk_model")
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
    """float32, under FunASR's names."""
    sha256: str
    """Of the file of weights."""


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
    files = _Files(directory)
    options = _read_config(files.config)
    config = parse_model_config(options.get("model_conf"))
    state = rename(_read_state(files.weights), _scope_map(options))
    classes = None
    if not state.keys().isdisjoint(HEAD):
        classes = parse_tokens(_read_tokens(files, options))
    weights = select_weights(
        config, classes.total if classes else 0, state, allow_extra=allow_extra
    )
    with files.weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Checkpoint(directory, config, classes, weights, sha256)


class _Files:
    """Where a directory keeps its parts: as configuration.json says, or under the usual names."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        metas = _read_metas(directory / _CONFIGURATION)
        self.config = self._find("the configuration", metas.get("config"), _CONFIG)
        self.weights = self._find("the weights", metas.get("init_param"), _WEIGHTS)
        tokenizer = metas.get("tokenizer_conf")
        named = tokenizer.get("token_list") if isinstance(tokenizer, dict) else None
        self.tokens: Path | None = None
        if named is not None or any((directory / name).is_file() for name in _TOKENS):
            self.tokens = self._find("the token list", named, *_TOKENS)

    def _find(self, what: str, named: object, *usual: str) -> Path:
        names = usual if named is None else (named,)
        for name in names:
            if not isinstance(name, str) or Path(name).name != name:
                raise ExportError(f"{_CONFIGURATION} names {name!r}, which is no plain file name")
            if (self._directory / name).is_file():
                refuse_stand_in(self._directory / name)
                return self._directory / name
        raise ExportError(f"{self._directory} lacks {what}, {names[0]}; is it a FunASR directory?")


def _read_metas(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path} can't be read as JSON: {error}") from error
    metas = content.get("file_path_metas", {}) if isinstance(content, dict) else None
    if not isinstance(metas, dict):
        raise ExportError(f"{path} has no mapping file_path_metas")
    return metas


def _read_config(path: Path) -> Mapping[str, Any]:
    """Reads the YAML as FunASR does (OmegaConf's loader), but resolves no interpolation."""
    try:
        options = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        raise ExportError(f"{path} can't be read as YAML: {_first_line(error)}") from error
    if not isinstance(options, dict):
        raise ExportError(f"{path} is no mapping")
    if options.get("model") != MODEL_CLASS:
        raise ExportError(
            f"{path} describes a {options.get('model')!r} model, not {MODEL_CLASS}; name an "
            "emotion2vec checkpoint, such as iic/emotion2vec_plus_large"
        )
    if options.get("tokenizer") not in _TOKENIZERS:
        raise ExportError(f"{path}: the tokenizer {options['tokenizer']!r} is not supported")
    for name in _COMPANIONS:
        if options.get(name):
            raise ExportError(f"{path}: {name} would make FunASR load another model; remove it")
    return {str(name): value for name, value in options.items()}


def _scope_map(options: Mapping[str, Any]) -> list[str]:
    scopes = options.get("scope_map") or []
    if isinstance(scopes, str):
        scopes = scopes.split(",")
    if not isinstance(scopes, list) or len(scopes) % 2:
        raise ExportError("config.yaml: scope_map is no list of pairs of prefixes")
    return [str(scope) for scope in scopes]


def _read_tokens(files: _Files, options: Mapping[str, Any]) -> list[str]:
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
    """Loads the weights with `weights_only=True`: a pickle that calls anything is refused."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ExportError(
            f"{path} is not loaded: it holds more than weights, which could run code, or is no "
            "checkpoint at all; save its state_dict alone"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} is no PyTorch checkpoint: {_first_line(error)}") from error
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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
