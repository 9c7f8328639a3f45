from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.errors import ExportError
from emotion2vec_export.reference import FunAsr
from emotion2vec_export.synthetic import SCOPE
from emotion2vec_export.weights import AUDIO, HEAD

FC1 = "blocks.1.mlp.fc1.weight"


def change_weights(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """`change` sees FunASR's names, without the scope that the checkpoint gives them."""
    content = torch.load(directory / "model.pt", weights_only=True)
    weights = {name.removeprefix(SCOPE): value for name, value in content["model"].items()}
    change(weights)
    content["model"] = {n if n in HEAD else SCOPE + n: value for n, value in weights.items()}
    torch.save(content, directory / "model.pt")


def change_config(directory: Path, old: str, new: str) -> None:
    path = directory / "config.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_checkpoint_is_read_whole(write_checkpoint) -> None:
    checkpoint = read_checkpoint(write_checkpoint())
    assert checkpoint.config.embed_dim == 32
    assert [label.name for label in checkpoint.classes.labels][-2:] == ["surprised", "unknown"]
    assert checkpoint.weights["proj.weight"].shape == (9, 32)


def test_without_a_head_it_has_no_classes(write_checkpoint) -> None:
    directory = write_checkpoint(labels=())
    assert read_checkpoint(directory).classes is None
    (directory / "tokens.txt").write_text("<unk>\n")
    assert read_checkpoint(directory).classes is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(FC1), f"lacks weights .*: {FC1}$"),
        (lambda w: w.pop("proj.bias"), r"lacks weights .*: proj\.bias$"),
        (lambda w: w.update(surplus=torch.zeros(1)), "does not ask for .*: surplus$"),
        (
            lambda w: w.update({FC1: torch.zeros(3, 2)}),
            rf"another shape .*: {FC1} \(3, 2\) instead",
        ),
        (lambda w: w.update({FC1: w[FC1] / 0}), f"not finite: {FC1}"),
        (lambda w: w.update({FC1: "text"}), rf"no weights: d2v_model\.{FC1}"),
        (lambda w: w.clear(), "holds no weights"),
    ],
)
def test_weights_that_do_not_fit_are_named(write_checkpoint, change, message: str) -> None:
    directory = write_checkpoint()
    change_weights(directory, change)
    with pytest.raises(ExportError, match=message):
        read_checkpoint(directory)


def test_many_misfits_are_counted_not_listed(write_checkpoint) -> None:
    directory = write_checkpoint()
    change_config(directory, "  depth: 2", "  depth: 4")
    with pytest.raises(ExportError, match=r"blocks\.2\.norm1\.weight.* and 19 more"):
        read_checkpoint(directory)


def test_extra_weights_can_be_allowed(write_checkpoint) -> None:
    directory = write_checkpoint()
    change_weights(directory, lambda w: w.update(surplus=torch.zeros(1)))
    assert "surplus" not in read_checkpoint(directory, allow_extra=True).weights


def test_what_only_pretraining_uses_may_be_there(write_checkpoint) -> None:
    directory = write_checkpoint()
    decoder = {f"{AUDIO}.decoder.proj.weight": torch.zeros(2, 2), "_ema": {FC1: torch.zeros(1)}}
    change_weights(directory, lambda w: w.update(decoder))
    assert not read_checkpoint(directory).weights.keys() & decoder.keys()


def test_a_checkpoint_is_as_the_hubs_are(write_checkpoint) -> None:
    content = torch.load(write_checkpoint() / "model.pt", weights_only=True)
    assert {"model", "last_optimizer_state"} <= content.keys()
    weights = content["model"]
    assert {name for name in weights if not name.startswith("d2v_model.")} == set(HEAD)
    assert weights["d2v_model.modality_encoders.AUDIO.alibi_scale"].shape == (1, 1, 4, 1, 1)


def test_prefixes_are_stripped_as_funasr_does(write_checkpoint) -> None:
    directory = write_checkpoint()

    def rename(weights: dict[str, Any]) -> None:
        for name in list(weights):
            weights["module." + name] = weights.pop(name)

    change_weights(directory, rename)
    assert FC1 in read_checkpoint(directory).weights


def test_half_precision_weights_become_float32(write_checkpoint) -> None:
    directory = write_checkpoint()
    change_weights(directory, lambda w: w.update({FC1: w[FC1].half()}))
    assert read_checkpoint(directory).weights[FC1].dtype == torch.float32


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/tmp/emotion2vec-exploited"),)


@pytest.mark.parametrize(
    "save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))]
)
def test_a_pickle_that_runs_code_is_refused(write_checkpoint, save) -> None:
    directory = write_checkpoint()
    save({"model": {FC1: Exploit()}}, directory / "model.pt")
    with pytest.raises(ExportError, match="could run code"):
        read_checkpoint(directory)
    assert not Path("/tmp/emotion2vec-exploited").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"\x00" * 100, b"hello"])
def test_a_file_that_is_no_checkpoint_is_refused(write_checkpoint, content: bytes) -> None:
    directory = write_checkpoint()
    (directory / "model.pt").write_bytes(content)
    with pytest.raises(ExportError, match=r"model\.pt is"):
        read_checkpoint(directory)


def test_a_truncated_checkpoint_is_refused(write_checkpoint) -> None:
    path = write_checkpoint() / "model.pt"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ExportError, match=r"model\.pt is no PyTorch checkpoint"):
        read_checkpoint(path.parent)


@pytest.mark.parametrize("name", ["config.yaml", "model.pt"])
def test_a_missing_file_is_named(write_checkpoint, name: str) -> None:
    directory = write_checkpoint()
    (directory / name).unlink()
    with pytest.raises(ExportError, match=name):
        read_checkpoint(directory)


@pytest.mark.parametrize("path", ["/etc/passwd", "../model.pt", 7])
def test_configuration_names_no_file_elsewhere(write_checkpoint, path: object) -> None:
    directory = write_checkpoint()
    metas = {"file_path_metas": {"init_param": path}}
    (directory / "configuration.json").write_text(json.dumps(metas))
    with pytest.raises(ExportError, match="no plain file name"):
        read_checkpoint(directory)


def test_configuration_may_leave_names_open(write_checkpoint) -> None:
    directory = write_checkpoint()
    metas = {"file_path_metas": {"init_param": None, "config": None, "tokenizer_conf": None}}
    (directory / "configuration.json").write_text(json.dumps(metas))
    assert len(read_checkpoint(directory).classes.labels) == 9


def test_configuration_json_may_be_absent(write_checkpoint) -> None:
    directory = write_checkpoint()
    (directory / "configuration.json").unlink()
    assert len(read_checkpoint(directory).classes.labels) == 9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model: Emotion2vec", "model: Paraformer", "'Paraformer' model"),
        ("model: Emotion2vec", "model: [", "can't be read as YAML"),
        ("tokenizer: CharTokenizer", "tokenizer: Remote", "tokenizer 'Remote'"),
        ("tokenizer: CharTokenizer", "vad_model: fsmn-vad", "vad_model"),
        ("  embed_dim: 32", "  embed_dim: many", "embed_dim"),
    ],
)
def test_a_configuration_that_is_not_ours_is_refused(write_checkpoint, old, new, message) -> None:
    directory = write_checkpoint()
    change_config(directory, old, new)
    with pytest.raises(ExportError, match=message):
        read_checkpoint(directory)


@pytest.mark.parametrize(
    "tokens", ["生气/angry\n<unk>\n", "<unk>\n" + "\n".join("abcdefghi") + "\n"]
)
def test_labels_and_head_must_be_as_many(write_checkpoint, tokens: str) -> None:
    directory = write_checkpoint()
    (directory / "tokens.txt").write_text(tokens)
    with pytest.raises(ExportError, match=r"another shape .*proj\.weight"):
        read_checkpoint(directory)


def test_a_head_without_labels_is_refused(write_checkpoint) -> None:
    directory = write_checkpoint()
    (directory / "configuration.json").unlink()
    (directory / "tokens.txt").unlink()
    with pytest.raises(ExportError, match=r"no tokens\.txt"):
        read_checkpoint(directory)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:be501a01\nsize 1945790254\n"


@pytest.mark.parametrize("name", ["model.pt", "config.yaml", "tokens.txt"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LFS, "is a git-lfs pointer, .* `git lfs pull`"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "is an HTML page, .* download the file"),
        (b"\xef\xbb\xbf<HTML><body>404</body></HTML>", "is an HTML page"),
    ],
)
def test_what_stands_in_for_a_file_is_named(write_checkpoint, name, content, message) -> None:
    directory = write_checkpoint()
    (directory / name).write_bytes(content)
    with pytest.raises(ExportError, match=rf"{re.escape(name)} {message}"):
        read_checkpoint(directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text + "\n\n", "ends in an empty line, .* delete it"),
        (lambda text: text.replace("<unk>", "unknown"), "lacks <unk>, .*unk_symbol"),
    ],
)
def test_a_token_list_that_funasr_misreads_is_refused(write_checkpoint, change, message) -> None:
    path = write_checkpoint() / "tokens.txt"
    path.write_text(change(path.read_text()))
    with pytest.raises(ExportError, match=message):
        read_checkpoint(path.parent)


def test_any_label_may_be_the_unknown_symbol(write_checkpoint) -> None:
    path = write_checkpoint() / "tokens.txt"
    path.write_text(path.read_text().replace("<unk>", "rest"))
    change_config(path.parent, "unk_symbol: <unk>", "unk_symbol: rest")
    checkpoint = read_checkpoint(path.parent)
    FunAsr(path.parent, checkpoint.classes)
    assert checkpoint.classes.labels[-1].name == "rest"


def test_the_hubs_own_token_list_has_no_newline_at_its_end(write_checkpoint) -> None:
    path = write_checkpoint() / "tokens.txt"
    path.write_text(path.read_text().rstrip("\n"))
    assert len(read_checkpoint(path.parent).classes.labels) == 9
