"""Models that take other ways through a rewriting than the published ones."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "as published": {},
    "pre-norm, scale per layer": {
        "layer_norm_first": True,
        "learned_alibi_scale_per_layer": True,
    },
    "group norm front end": {"extractor_mode": "default"},
    "ALiBi on some heads": {"num_alibi_heads": 3},
    "no ALiBi": {"use_alibi_encoder": False},
    "no extra tokens": {"num_extra_tokens": 0},
    "one convolution": {"feature_encoder_spec": "[(16, 40, 20)]"},
    "kernels that are no multiple of the stride": {
        "feature_encoder_spec": "[(16, 7, 3)] + [(16, 5, 2)] * 2 + [(24, 4, 3)] + [(16, 3, 1)] * 2"
    },
    "kernels smaller than the stride": {
        "feature_encoder_spec": "[(16, 10, 5)] + [(16, 1, 2)] + [(24, 2, 3)] + [(16, 1, 1)]"
    },
    "fields longer than many hops": {
        "feature_encoder_spec": "[(16, 9, 2)] * 3 + [(24, 12, 1), (16, 2, 2)]"
    },
}
