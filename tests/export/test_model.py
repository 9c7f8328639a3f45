"""The PyTorch model against FunASR's, over every branch of the configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.model import Emotion2vec, alibi_slopes, normalize
from emotion2vec_export.parity import softmax, speech_like
from emotion2vec_export.reference import FunAsr
from emotion2vec_export.weights import load_model
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.samples import Export

LENGTHS = (400, 719, 720, 5000, 16000)

VARIANTS: dict[str, dict[str, Any]] = {
    "as published": {},
    "no waveform norm": {"normalize": False},
    "pre-norm": {"layer_norm_first": True},
    "group norm front end": {"extractor_mode": "default"},
    "pre-normed positions": {"conv_pos_pre_ln": True},
    "even positional kernel": {"conv_pos_width": 20},
    "scale per layer": {"learned_alibi_scale_per_layer": True},
    "one scale": {"learned_alibi_scale_per_head": False},
    "pre-norm, scale per layer": {"layer_norm_first": True, "learned_alibi_scale_per_layer": True},
    "ALiBi on some heads": {"num_alibi_heads": 3},
    "no ALiBi": {"use_alibi_encoder": False},
    "no extra tokens": {"num_extra_tokens": 0},
    "plain norms": {"norm_affine": False},
    "no prenet": {"prenet_depth": 0, "learned_alibi_scale_per_layer": True},
    "other convolutions": {
        "feature_encoder_spec": "[(16, 8, 4)] + [(16, 3, 2)] * 2 + [(24, 2, 2)]"
    },
}


def batch_of(clips: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    waveform = torch.zeros(len(clips), int(lengths.max()))
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = torch.from_numpy(clip)
    return waveform, lengths


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_padded_batch_gives_what_funasr_gives_for_each_clip(write_checkpoint, overrides) -> None:
    directory = write_checkpoint(seed=1, **overrides)
    checkpoint = read_checkpoint(directory)
    model = load_model(checkpoint.config, checkpoint.classes, checkpoint.weights)
    funasr = FunAsr(directory, checkpoint.classes)
    clips = [speech_like(length, seed) for seed, length in enumerate(LENGTHS)]
    outputs = model(*batch_of(clips))
    for index, clip in enumerate(clips):
        expected = funasr.recognize(clip)
        frames = int(outputs.frame_lengths[index])
        assert frames == len(expected.frame_embeddings)
        ours = outputs.frame_embeddings[index, :frames].numpy()
        np.testing.assert_allclose(ours, expected.frame_embeddings, atol=2e-4)
        probabilities = softmax(outputs.logits[index].double().numpy())
        np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-5)
        pooled = outputs.frame_logits[index, :frames].mean(dim=0)
        torch.testing.assert_close(pooled, outputs.logits[index], atol=1e-4, rtol=0)


def test_slopes_are_those_of_the_paper() -> None:
    assert alibi_slopes(8) == [2.0**-power for power in range(1, 9)]
    assert alibi_slopes(12)[8:] == alibi_slopes(16)[0::2][:4]


@pytest.fixture(scope="module")
def model(published: Export) -> Emotion2vec:
    checkpoint = read_checkpoint(published.checkpoint)
    return load_model(checkpoint.config, checkpoint.classes, checkpoint.weights)


@settings(max_examples=25)
@given(st.lists(st.integers(400, 6000), min_size=2, max_size=5), st.integers(0, 2000))
def test_padding_changes_nothing(model, lengths: list[int], surplus: int) -> None:
    clips = [speech_like(length, seed) for seed, length in enumerate(lengths)]
    waveform, true_lengths = batch_of(clips)
    waveform = torch.nn.functional.pad(waveform, (0, surplus))
    together = model(waveform, true_lengths)
    for index, clip in enumerate(clips):
        alone = model(*batch_of([clip]))
        torch.testing.assert_close(together.logits[index], alone.logits[0], atol=1e-4, rtol=0)
        frames = int(alone.frame_lengths[0])
        assert int(together.frame_lengths[index]) == frames == (len(clip) - 400) // 320 + 1
        torch.testing.assert_close(
            together.frame_embeddings[index, :frames], alone.frame_embeddings[0], atol=1e-3, rtol=0
        )


@pytest.mark.parametrize("gain", [0.0, 1e-6, 1.0, 1e4])
def test_any_loudness_gives_finite_values(model, gain: float) -> None:
    clips = [np.float32(gain) * speech_like(length, 0) for length in (400, 9000)]
    for value in model(*batch_of(clips)):
        assert torch.isfinite(value).all()


def test_an_offset_does_not_drown_quiet_sound() -> None:
    quiet = torch.from_numpy(1e-4 * speech_like(16000, 0) + np.float32(0.5)).unsqueeze(0)
    lengths = torch.tensor([16000])
    exact = normalize(quiet.double(), lengths)
    torch.testing.assert_close(normalize(quiet, lengths).double(), exact, atol=1e-7, rtol=0)
