"""Writes FunASR model directories as the hubs' are, with seeded random weights.

Configuration, names and what lies beside the weights are those of emotion2vec+: `model.pt` is a
fairseq training checkpoint, three times as large as its weights for Adam's two moments.

Speed, memory and parity do not depend on what weights are worth, so these stand in for checkpoints
whose licence forbids shipping them. Their emotions mean nothing.

Plain random weights collapse: after a few blocks all frames of a clip are nearly equal, and a
collapsed model passes every parity test. So residual branches are scaled down, and norms, ALiBi
scales (one of them negative, which the model clamps to 0) and extra tokens are varied.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from emotion2vec_export.config import MODEL_CLASS, ModelConfig, parse_model_config
from emotion2vec_export.errors import ExportError
from emotion2vec_export.labels import UNKNOWN_TOKEN
from emotion2vec_export.weights import ALIBI_SCALE, AUDIO, HEAD, expected_weights

LABELS = (
    "生气/angry",
    "厌恶/disgusted",
    "恐惧/fearful",
    "开心/happy",
    "中立/neutral",
    "其他/other",
    "难过/sad",
    "吃惊/surprised",
    UNKNOWN_TOKEN,
)
"""emotion2vec+'s own classes."""

SCOPE = "d2v_model."
"""What the hubs' checkpoints put before their weights' names."""
_BRANCH_SCALE = 0.4
"""Of a residual branch's last layer, so that what distinguishes frames survives the blocks."""


@dataclass(frozen=True, slots=True)
class Size:
    """The dimensions in which emotion2vec models differ."""

    embed_dim: int
    heads: int
    prenet_depth: int
    depth: int
    channels: int = 512
    conv_pos_groups: int = 16


SIZES = {
    "large": Size(1024, 16, 4, 8),
    "base": Size(768, 12, 4, 8),
    "tiny": Size(64, 4, 1, 2, channels=64, conv_pos_groups=4),
}


def model_options(size: Size) -> dict[str, Any]:
    """`model_conf` of an emotion2vec+ model of this size: the hub's own, but for its encoders of
    pictures and text, which FunASR does not have."""
    return {
        "_name": "data2vec_multi",
        "activation_dropout": 0.0,
        "adversarial_hidden_dim": 128,
        "adversarial_training": False,
        "adversarial_weight": 0.1,
        "attention_dropout": 0.1,
        "average_top_k_layers": 16,
        "batch_norm_target_layer": False,
        "clone_batch": 12,
        "cls_loss": 1.0,
        "cls_type": "chunk",
        "d2v_loss": 1.0,
        "decoder_group": False,
        "depth": size.depth,
        "dropout_input": 0.0,
        "ema_anneal_end_step": 20000,
        "ema_decay": 0.9997,
        "ema_encoder_only": False,
        "ema_end_decay": 1.0,
        "ema_same_dtype": True,
        "embed_dim": size.embed_dim,
        "encoder_dropout": 0.1,
        "end_drop_path_rate": 0.0,
        "end_of_block_targets": False,
        "instance_norm_target_layer": True,
        "instance_norm_targets": False,
        "layer_norm_first": False,
        "layer_norm_target_layer": False,
        "layer_norm_targets": False,
        "layerdrop": 0.0,
        "log_norms": True,
        "loss_beta": 0.0,
        "loss_scale": None,
        "mae_init": False,
        "max_update": 100000,
        "min_pred_var": 0.01,
        "min_target_var": 0.1,
        "mlp_ratio": 4.0,
        "normalize": True,
        "modalities": {"_name": None, "audio": _audio_options(size)},
        "norm_affine": True,
        "norm_eps": 1e-5,
        "num_heads": size.heads,
        "post_mlp_drop": 0.1,
        "recon_loss": 0.0,
        "seed": 1,
        "shared_decoder": None,
        "skip_ema": False,
        "start_drop_path_rate": 0.0,
        "supported_modality": "AUDIO",
    }


def _audio_options(size: Size) -> dict[str, Any]:
    channels = size.channels
    return {
        "add_masks": False,
        "alibi_max_pos": None,
        "alibi_scale": 1.0,
        "conv_pos_depth": 5,
        "conv_pos_groups": size.conv_pos_groups,
        "conv_pos_pre_ln": False,
        "conv_pos_width": 95,
        # FunASR builds it, though plus_large holds no weights for it, and never runs it.
        "decoder": {
            "add_positions_all": False,
            "add_positions_masked": False,
            "decoder_dim": 768,
            "decoder_groups": 16,
            "decoder_kernel": 7,
            "decoder_layers": 4,
            "decoder_residual": True,
            "input_dropout": 0.1,
            "projection_layers": 1,
            "projection_ratio": 2.0,
        },
        "ema_local_encoder": False,
        "encoder_zero_mask": True,
        "end_drop_path_rate": 0.0,
        "extractor_mode": "layer_norm",
        "feature_encoder_spec": f"[({channels}, 10, 5)] + [({channels}, 3, 2)] * 4"
        f" + [({channels},2,2)] + [({channels},2,2)]",
        "init_extra_token_zero": True,
        "inverse_mask": False,
        "keep_masked_pct": 0.0,
        "learned_alibi": False,
        "learned_alibi_scale": True,
        "learned_alibi_scale_per_head": True,
        "learned_alibi_scale_per_layer": False,
        "local_grad_mult": 1.0,
        "mask_channel_length": 64,
        "mask_channel_prob": 0.0,
        "mask_dropout": 0.0,
        "mask_length": 5,
        "mask_noise_std": 0.01,
        "mask_prob": 0.55,
        "mask_prob_adjust": 0.1,
        "mask_prob_min": None,
        "model_depth": size.depth,
        "num_alibi_heads": size.heads,
        "num_extra_tokens": 10,
        "prenet_depth": size.prenet_depth,
        "prenet_dropout": 0.1,
        "prenet_layerdrop": 0.0,
        "remove_masks": False,
        "start_drop_path_rate": 0.0,
        "type": "AUDIO",
        "use_alibi_encoder": True,
    }


def random_weights(config: ModelConfig, classes: int, seed: int) -> dict[str, Tensor]:
    """Seeded weights under FunASR's names. `classes` is 0 for a model without a classifier."""
    generator = torch.Generator().manual_seed(seed)
    return {
        weight.source: _random_weight(weight.source, weight.shape, generator)
        for weight in expected_weights(config, classes)
    }


def _random_weight(name: str, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    noise = torch.randn(*shape, generator=generator)
    if name == ALIBI_SCALE:
        scale = 0.4 + 0.6 * torch.rand(*shape, generator=generator)
        scale.flatten()[-1] = -0.5
        return scale
    if name == f"{AUDIO}.extra_tokens":
        return 0.5 * noise
    if name.endswith("bias"):
        return 0.05 * noise
    if len(shape) == 1:
        return 1.0 + 0.1 * noise
    if name == "proj.weight":
        return noise * 2 / math.sqrt(shape[1])
    fan_in = math.prod(shape[1:])
    gain = _BRANCH_SCALE if name.endswith(("attn.proj.weight", "mlp.fc2.weight")) else 1.0
    if ".local_encoder." in name or ".relative_positional_encoder." in name:
        gain = math.sqrt(2)
    return noise * gain / math.sqrt(fan_in)


def write_checkpoint(
    directory: Path,
    options: dict[str, Any],
    weights: dict[str, Tensor],
    labels: Sequence[str] = LABELS,
    scope: str = "",
) -> None:
    """Writes a directory that `funasr.AutoModel(model=directory)` loads.

    Args:
        options: `model_conf`.
        weights: under FunASR's names.
        labels: one a class, `<unk>` among them; empty for a model without a classifier.
        scope: with one, `model.pt` becomes a whole training checkpoint that puts it before every
            name but the classifier's, as the hubs' do; without, it holds the weights alone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"model": MODEL_CLASS, "model_conf": options}
    metas: dict[str, Any] = {"init_param": "model.pt", "config": "config.yaml"}
    if labels:
        config["tokenizer"] = "CharTokenizer"
        config["tokenizer_conf"] = {"unk_symbol": UNKNOWN_TOKEN, "split_with_space": True}
        metas["tokenizer_conf"] = {"token_list": "tokens.txt"}
        (directory / "tokens.txt").write_text("\n".join(labels), encoding="utf-8")
    if scope:
        config["scope_map"] = [scope, "none"]
        content = _training_checkpoint(
            {name if name in HEAD else scope + name: value for name, value in weights.items()}
        )
    else:
        content = {"model": weights}
    OmegaConf.save(OmegaConf.create(config), directory / "config.yaml")
    described = {"framework": "pytorch", "task": "emotion-recognition", "file_path_metas": metas}
    (directory / "configuration.json").write_text(json.dumps(described, indent=2), encoding="utf-8")
    torch.save(content, directory / "model.pt")


def _training_checkpoint(weights: dict[str, Tensor]) -> dict[str, Any]:
    """What fairseq saves; Adam has seen no step yet."""
    moments = {
        index: {
            "step": 0,
            "exp_avg": torch.zeros_like(value),
            "exp_avg_sq": torch.zeros_like(value),
        }
        for index, value in enumerate(weights.values())
    }
    group = {"lr": 0.0, "betas": [0.9, 0.98], "eps": 1e-6, "params": list(moments)}
    return {
        "args": None,
        "cfg": {"_name": None},
        "model": weights,
        "criterion": {},
        "optimizer_history": [{"optimizer_name": "FairseqAdam", "num_updates": 0}],
        "task_state": {},
        "extra_state": {"epoch": 1},
        "last_optimizer_state": {"state": moments, "param_groups": [group]},
    }


def write_synthetic(
    directory: Path, size: Size, seed: int, labels: Sequence[str] = LABELS, **overrides: Any
) -> None:
    """Writes a synthetic checkpoint; `overrides` replace options of `model_conf` or its audio part.

    Raises:
        ExportError: there are labels but `<unk>` is not among them, which FunASR requires.
    """
    if labels and UNKNOWN_TOKEN not in labels:
        raise ExportError(f"FunASR requires {UNKNOWN_TOKEN} among the labels; add it")
    options = model_options(size)
    audio = options["modalities"]["audio"]
    for name, value in overrides.items():
        (audio if name in audio else options)[name] = value
    weights = random_weights(parse_model_config(options), len(labels), seed)
    write_checkpoint(directory, options, weights, labels, SCOPE)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m emotion2vec_export.synthetic",
        description="Write a FunASR emotion2vec directory with seeded random weights.",
    )
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument(
        "--labels", nargs="+", default=LABELS, help="tokens, one a class (default: emotion2vec+'s)"
    )
    classes.add_argument("--headless", action="store_true", help="write no classifier")
    options = parser.parse_args(arguments)
    labels = () if options.headless else tuple(options.labels)
    try:
        write_synthetic(options.output, SIZES[options.size], options.seed, labels)
    except (ExportError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
