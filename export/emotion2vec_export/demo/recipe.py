"""What the demo model is made of: its architecture and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emotion2vec_export.synthetic import Size, model_options

NAME = "emotion2vec_demo"

_BLOCKS = 4
_PRENET = 2
_DROPOUT = 0.05


def demo_options(blocks: int = _BLOCKS) -> dict[str, Any]:
    """FunASR's `model_conf`: emotion2vec at about a million parameters, with so many blocks.

    The front end keeps emotion2vec's kernels and strides (hop 320, field 400) and has few channels
    where the rate is high, since that is where the time goes.
    """
    options = model_options(
        Size(embed_dim=128, heads=4, prenet_depth=_PRENET, depth=blocks - _PRENET)
    )
    options |= {
        "encoder_dropout": _DROPOUT,
        "post_mlp_drop": _DROPOUT,
        "attention_dropout": 0.0,
        "layerdrop": 0.0,
    }
    options["modalities"]["audio"] |= {
        # It would be trained along, and serves nothing.
        "decoder": None,
        "prenet_layerdrop": 0.0,
        "prenet_dropout": _DROPOUT,
        "feature_encoder_spec": "[(16, 10, 5), (32, 3, 2), (48, 3, 2), (64, 3, 2), (96, 3, 2)]"
        " + [(128, 2, 2)] * 2",
    }
    return options


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to train. `clips_per_class` sets the corpus; a batch holds about `batch_seconds`."""

    seed: int = 0
    blocks: int = _BLOCKS
    """Of attention. emotion2vec+ has 12: what depth does to trained weights shows with as many."""
    clips_per_class: int = 300
    steps: int = 2200
    batch_seconds: float = 32.0
    ramp: float = 0.4
    """Share of the steps over which batches grow from clean to mixed and disturbed."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.03
    """Share of the steps over which the learning rate rises."""
    label_smoothing: float = 0.1
    frame_weight: float = 0.5
    """Weight of the frames' own cross entropy beside the utterance's."""
    threads: int = 1
    """Of torch; a second core makes the batches, and more threads change the rounding."""
