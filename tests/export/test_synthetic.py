from __future__ import annotations

import math
from pathlib import Path

import pytest
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.config import parse_model_config
from emotion2vec_export.parity import speech_like
from emotion2vec_export.reference import FunAsr
from emotion2vec_export.synthetic import SIZES, main, model_options
from emotion2vec_export.weights import ALIBI_SCALE, expected_weights


@pytest.mark.parametrize(("size", "millions"), [("large", 313), ("base", 93)])
def test_sizes_are_those_of_emotion2vec_plus(size: str, millions: int) -> None:
    weights = expected_weights(parse_model_config(model_options(SIZES[size])), 9)
    assert sum(math.prod(weight.shape) for weight in weights) // 10**6 == millions


def test_it_does_not_collapse(tmp_path: Path) -> None:
    assert main(["--size", "tiny", "--seed", "5", "--output", str(tmp_path)]) == 0
    checkpoint = read_checkpoint(tmp_path)
    scale = checkpoint.weights[ALIBI_SCALE]
    assert (scale < 0).sum() == 1
    funasr = FunAsr(tmp_path, checkpoint.classes)
    results = [funasr.recognize(speech_like(48000, seed)) for seed in (1, 2)]
    for result in results:
        frames = result.frame_embeddings
        assert frames.shape == (149, 64)
        assert frames.std(axis=0).mean() >= 0.2 * frames.std()
    assert abs(results[0].probabilities - results[1].probabilities).max() > 1e-3


def test_a_seed_says_it_all(tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main(["--size", "tiny", "--seed", seed, "--output", str(tmp_path / name)])
    a, b, c = (read_checkpoint(tmp_path / name).weights["proj.weight"] for name in "abc")
    assert a.equal(b)
    assert not a.equal(c)


def test_labels_are_a_choice(tmp_path: Path, capfd) -> None:
    command = ["--size", "tiny", "--output", str(tmp_path), "--labels", "a", "unuse_b"]
    assert main(command) == 1
    assert "<unk>" in capfd.readouterr().err
    assert main([*command, "<unk>"]) == 0
    labels = read_checkpoint(tmp_path).classes.labels
    assert [label.name for label in labels] == ["a", "unknown"]


def test_a_head_is_a_choice(tmp_path: Path) -> None:
    assert main(["--size", "tiny", "--output", str(tmp_path), "--headless"]) == 0
    assert read_checkpoint(tmp_path).classes is None
    result = FunAsr(tmp_path, None).recognize(speech_like(16000, 0))
    assert result.probabilities is None
    assert result.frame_embeddings.shape == (49, 64)
