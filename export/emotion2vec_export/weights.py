"""FunASR's names for emotion2vec's weights, and how they become ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emotion2vec_export.config import ModelConfig
from emotion2vec_export.errors import ExportError
from emotion2vec_export.labels import Classes
from emotion2vec_export.model import Emotion2vec, scale_slopes

AUDIO = "modality_encoders.AUDIO"
ALIBI_SCALE = f"{AUDIO}.alibi_scale"
HEAD = ("proj.weight", "proj.bias")
_PRETRAINING = (f"{AUDIO}.decoder.", "shared_decoder.", "recon_proj.", "_ema", "ema.")
"""Prefixes of what only pretraining uses: a checkpoint may hold it, inference never reads it."""
_DATA_PARALLEL = ("module.", "none")
"""Scope of weights that were saved from a DataParallel model; FunASR always knows it."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight of a FunASR checkpoint: its name, its name in `Emotion2vec`, and its shape."""

    source: str
    target: str
    shape: tuple[int, ...]


def expected_weights(config: ModelConfig, classes: int) -> tuple[Weight, ...]:
    """All weights that inference reads. `classes` is 0 for a model without a classifier."""
    with torch.device("meta"):
        ours = Emotion2vec(config, classes).state_dict()
    weights = [
        Weight(source, target, tuple(ours[target].shape))
        for target, source in _sources(config).items()
        if target in ours
    ]
    if config.audio.use_alibi_encoder:
        weights.append(Weight(ALIBI_SCALE, "alibi", _scale_shape(config)))
    return tuple(weights)


def load_model(
    config: ModelConfig, classes: Classes | None, weights: Mapping[str, Tensor]
) -> Emotion2vec:
    """Builds the model from FunASR's weights; masked classes are left out of its head.

    Args:
        classes: None for a model without a classifier.
        weights: what `select_weights` returned.
    """
    rows = list(classes.rows) if classes else []
    with torch.device("meta"):
        model = Emotion2vec(config, len(rows))
    state = {"alibi": torch.zeros_like(model.alibi, device="cpu")}
    for weight in expected_weights(config, classes.total if classes else 0):
        value = weights[weight.source]
        if weight.source == ALIBI_SCALE:
            value = scale_slopes(config, value)
        elif weight.source in HEAD:
            value = value[rows]
        state[weight.target] = value
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(requires_grad=False).eval()


def renamed(name: str, scope_map: Sequence[str]) -> str:
    """The name that FunASR looks a weight of the checkpoint up by.

    Args:
        scope_map: prefixes in the checkpoint and in FunASR, in turns; "none" is the empty one.
    """
    scopes = ["" if scope.lower() == "none" else scope for scope in (*scope_map, *_DATA_PARALLEL)]
    for source, target in zip(scopes[::2], scopes[1::2], strict=True):
        if source and name.startswith(source):
            name = target + name.removeprefix(source)
    return name


def select_weights(
    config: ModelConfig, classes: int, state: Mapping[str, Tensor], *, allow_extra: bool = False
) -> dict[str, Tensor]:
    """Checks a checkpoint's weights and returns those that inference reads, as float32.

    Args:
        classes: rows of its head; 0 for a checkpoint without one.
        state: under FunASR's names.

    Raises:
        ExportError: a weight is missing, has another shape, is not finite, or is not one that this
            architecture has (unless `allow_extra`): then config and weights do not belong together.
    """
    expected = {weight.source: weight.shape for weight in expected_weights(config, classes)}
    _refuse("lacks weights that config.yaml asks for", [n for n in expected if n not in state])
    _refuse(
        "has weights of another shape than config.yaml and the token list ask for",
        [
            f"{name} {tuple(state[name].shape)} instead of {shape}"
            for name, shape in expected.items()
            if tuple(state[name].shape) != shape
        ],
    )
    if not allow_extra:
        extra = [n for n in state if n not in expected and not n.startswith(_PRETRAINING)]
        _refuse(
            "has weights that config.yaml does not ask for (--allow-extra-weights ignores them)",
            extra,
        )
    selected = {name: state[name].to(torch.float32).contiguous() for name in expected}
    broken = [name for name, value in selected.items() if not value.isfinite().all()]
    _refuse("has weights that are not finite", broken)
    return selected


def _refuse(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise ExportError(f"the checkpoint {what}: {', '.join(names[:_SHOWN])}{more}")


def _scale_shape(config: ModelConfig) -> tuple[int, ...]:
    audio = config.audio
    rows = config.layers if audio.learned_alibi_scale_per_layer else 1
    return (rows, 1, audio.num_alibi_heads if audio.learned_alibi_scale_per_head else 1, 1, 1)


def _sources(config: ModelConfig) -> dict[str, str]:
    """FunASR's name of each of our weights (and of some that a given configuration lacks)."""
    audio = config.audio
    modules = {
        "feature_norm": f"{AUDIO}.project_features.1",
        "feature_proj": f"{AUDIO}.project_features.2",
        "norm": "norm" if config.layer_norm_first else f"{AUDIO}.context_encoder.norm",
        "head": "proj",
    }
    norm = "2.1" if audio.extractor_mode == "layer_norm" else "2"
    for layer in range(len(audio.feature_encoder_spec)):
        modules[f"front_end.convs.{layer}"] = f"{AUDIO}.local_encoder.conv_layers.{layer}.0"
        modules[f"front_end.norms.{layer}"] = f"{AUDIO}.local_encoder.conv_layers.{layer}.{norm}"
    positional = f"{AUDIO}.relative_positional_encoder"
    if audio.conv_pos_pre_ln:
        modules["positional.norm"] = f"{positional}.0"
        positional += ".1"
    for layer in range(audio.conv_pos_depth):
        modules[f"positional.convs.{layer}"] = f"{positional}.{layer + 1}.0"
    for layer in range(config.layers):
        main = layer - audio.prenet_depth
        source = f"blocks.{main}" if main >= 0 else f"{AUDIO}.context_encoder.blocks.{layer}"
        for target, name in (
            ("norm1", "norm1"),
            ("attn.qkv", "attn.qkv"),
            ("attn.proj", "attn.proj"),
            ("norm2", "norm2"),
            ("fc1", "mlp.fc1"),
            ("fc2", "mlp.fc2"),
        ):
            modules[f"blocks.{layer}.{target}"] = f"{source}.{name}"
    names = {
        f"{target}.{kind}": f"{source}.{kind}"
        for target, source in modules.items()
        for kind in ("weight", "bias")
    }
    return {"extra_tokens": f"{AUDIO}.extra_tokens", **names}
