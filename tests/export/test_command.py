from __future__ import annotations

from pathlib import Path

import pytest
from emotion2vec_export.__main__ import main


def test_a_checkpoint_becomes_a_bundle(published) -> None:
    told = [line for line in published.out.splitlines() if "of funasr" in line]
    forms = ["fp32", "int8, all layers of the blocks", "fp16", "fp32 steps", "int8 steps"]
    assert [line.partition(":")[0] for line in told] == [f"✓ {form}" for form in forms]
    assert "labels: angry, happy, unknown" in published.out
    assert "funasr version" not in published.out + published.err


@pytest.mark.usefixtures("already_exported")
def test_every_clip_is_shown_on_request(published, tmp_path: Path, capsys) -> None:
    arguments = [str(published.checkpoint), "--output", str(tmp_path / "bundle"), "--verbose"]
    assert main(arguments) == 0
    assert "quiet, alone" in capsys.readouterr().out
    assert "quiet, alone" not in published.out


def test_a_checkpoint_without_a_classifier_is_one_that_gives_embeddings(exported) -> None:
    assert "The checkpoint has no classifier" in exported("headless").err
    assert "labels: none, embeddings only" in exported("headless").out
    assert "int8" not in exported("headless").out


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no-such-place", "no-such-place is no directory"),
        (".", "lacks the configuration, config.yaml"),
    ],
)
def test_a_mistake_is_one_line(source, message, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([source, "--output", "bundle"]) == 1
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["source"],
        ["source", "--output", "b", "--precision", "fp64"],
        ["source", "--output", "b", "--name", "../b"],
        ["source", "--output", "b", "--hub", "elsewhere"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
