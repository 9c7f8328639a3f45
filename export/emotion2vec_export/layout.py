"""Where a FunASR model directory keeps its parts, and which model it says it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from emotion2vec_export.config import MODEL_CLASS
from emotion2vec_export.errors import ExportError
from emotion2vec_export.stand_in import refuse_stand_in

CONFIGURATION = "configuration.json"
CONFIG = "config.yaml"
WEIGHTS = "model.pt"
TOKENS = ("tokens.txt", "tokens.json")
_TOKENIZERS = (None, "CharTokenizer")
_COMPANIONS = ("vad_model", "punc_model", "spk_model")


class Names:
    """What the parts are called: as configuration.json says, which may be absent, or as usual."""

    def __init__(self, directory: Path) -> None:
        """Raises ExportError where configuration.json is malformed or names a file elsewhere."""
        metas = _read_metas(directory / CONFIGURATION)
        tokenizer = metas.get("tokenizer_conf")
        tokens = tokenizer.get("token_list") if isinstance(tokenizer, dict) else None
        self.config = _plain(metas.get("config"), CONFIG)
        self.weights = _plain(metas.get("init_param"), WEIGHTS)
        self.tokens_named = tokens is not None
        self.tokens = TOKENS if tokens is None else (_plain(tokens, TOKENS[0]),)


def _plain(name: object, usual: str) -> str:
    if name is None:
        return usual
    if not isinstance(name, str) or Path(name).name != name:
        raise ExportError(f"{CONFIGURATION} names {name!r}, which is no plain file name")
    return name


class Layout:
    """Where a directory keeps its parts: as configuration.json says, or under the usual names."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        names = Names(directory)
        self.config = self._find("the configuration", names.config)
        self.weights = self._find("the weights", names.weights)
        self.tokens: Path | None = None
        if names.tokens_named or any((directory / name).is_file() for name in names.tokens):
            self.tokens = self._find("the token list", *names.tokens)

    def _find(self, what: str, *names: str) -> Path:
        for name in names:
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


def read_config(path: Path) -> Mapping[str, Any]:
    """Reads the YAML as FunASR does (OmegaConf's loader), but resolves no interpolation.

    Raises:
        ExportError: it is malformed, of another architecture, or asks for what is not supported.
    """
    try:
        options = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        raise ExportError(f"{path} can't be read as YAML: {first_line(error)}") from error
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


def first_line(error: Exception) -> str:
    """Of what an error says; its name where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
