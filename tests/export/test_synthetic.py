from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.config import parse_model_config
from emotion2vec_export.parity import speech_like
from emotion2vec_export.reference import FunAsr
from emotion2vec_export.synthetic import SIZES, main, model_options, write_synthetic
from emotion2vec_export.weights import ALIBI_SCALE, expected_weights

HUB = Path(__file__).parents[1] / "data" / "plus_large"
"""iic/emotion2vec_plus_large's own config.yaml, configuration.json and tokens.txt."""


@pytest.mark.parametrize(("size", "parameters"), [("large", 162_140_185), ("base", 93_178_133)])
def test_sizes_are_those_of_emotion2vec_plus(size: str, parameters: int) -> None:
    weights = expected_weights(parse_model_config(model_options(SIZES[size])), 9)
    assert len(weights) == 185
    assert sum(math.prod(weight.shape) for weight in weights) == parameters


def test_large_is_configured_as_the_hub_has_it() -> None:
    options = yaml.safe_load((HUB / "config.yaml").read_text(encoding="utf-8"))["model_conf"]
    for absent in ("image", "text"):
        del options["modalities"][absent]
    assert model_options(SIZES["large"]) == options


def test_its_files_are_those_of_the_hub(tmp_path: Path) -> None:
    write_synthetic(tmp_path, SIZES["tiny"], 0)
    assert (tmp_path / "tokens.txt").read_bytes() == (HUB / "tokens.txt").read_bytes()
    ours, theirs = (
        yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))
        for directory in (tmp_path, HUB)
    )
    for part in (ours, theirs):
        del part["model_conf"]
    assert ours == theirs
    ours, theirs = (
        json.loads((directory / "configuration.json").read_text(encoding="utf-8"))
        for directory in (tmp_path, HUB)
    )
    assert ours.items() <= theirs.items()


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
