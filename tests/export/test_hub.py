"""Checkpoints by their id: both hubs' own client libraries, against a stand-in for the hubs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from emotion2vec_export.__main__ import main
from emotion2vec_export.hub import is_hub_id
from emotion2vec_export.synthetic import write_synthetic
from emotion2vec_runtime.bundle import load_bundle

from tests.export.hub_stand_in import COMMIT, HubStandIn, hub
from tests.export.samples import MICRO

OWNERS = {"modelscope": "iic", "huggingface": "emotion2vec"}
BASE = "emotion2vec_base.pt"
FETCH = """
import json, sys
from emotion2vec_export.errors import ExportError
from emotion2vec_export.hub import download
try:
    found = download(*sys.argv[1:])
    print(json.dumps([str(found.directory), found.source, found.commit]))
except ExportError as error:
    print(json.dumps(str(error)))
"""

Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What both hubs hold, each under its owner's name."""
    root = tmp_path_factory.mktemp("repositories")
    write_synthetic(root / "plus_large", MICRO, 0)
    (root / "plus_large" / "example.wav").write_bytes(b"sound")
    write_synthetic(root / "base", MICRO, 0, ())
    (root / "base" / "model.pt").rename(root / "base" / BASE)
    described = root / "base" / "configuration.json"
    described.write_text(described.read_text().replace("model.pt", BASE))
    # Only fetched. Hugging Face's client forgets the last 10 MB of what it has when it is cut off.
    shutil.copytree(root / "plus_large", root / "plus_seed")
    (root / "plus_seed" / "model.pt").write_bytes(os.urandom(30_000_000))
    other = root / "paraformer"
    other.mkdir()
    (other / "config.yaml").write_text("model: Paraformer\n")
    (other / "model.pt").write_bytes(bytes(100))
    (root / "whisper").mkdir()
    (root / "whisper" / "config.json").write_text("{}")
    found = {}
    for owner in OWNERS.values():
        for name in ("plus_large", "plus_seed", "base"):
            found[f"{owner}/emotion2vec_{name}"] = root / name
        for name in ("paraformer", "whisper"):
            found[f"{owner}/{name}"] = root / name
    return found


@pytest.fixture
def away(repositories: dict[str, Path]) -> Iterator[HubStandIn]:
    with hub(repositories) as stand_in:
        yield stand_in


def environment(url: str, home: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return ours | {
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": url,
        "MODELSCOPE_CACHE": str(home / "ms"),
        "MODELSCOPE_ENDPOINT": url,
        "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "1",
    }


def ask(url: str, home: Path, source: str, where: str) -> Any:
    """What `download` returns, or its error's words, in a process that knows this hub alone."""
    command = [sys.executable, "-c", FETCH, source, where]
    process = subprocess.run(
        command, env=environment(url, home), capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "source"),
    [("modelscope", "iic/emotion2vec_plus_large"), ("huggingface", "emotion2vec_plus_large")],
)
def test_an_id_becomes_a_bundle(where: str, source: str, away: HubStandIn, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emotion2vec_export", source, "--hub", where]
    process = subprocess.run(
        [*command, "--output", str(tmp_path / "bundle")],
        env=environment(away.url, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert manifest.name == "emotion2vec_plus_large"
    assert manifest.source == f"{where}:{OWNERS[where]}/emotion2vec_plus_large"
    assert manifest.source_commit == COMMIT
    assert len(manifest.labels) == 9
    assert away.asked[-1] == "model.pt", "the weights come last"
    assert "example.wav" not in away.asked
    assert away.revisions == ({"master"} if where == "modelscope" else set())


@pytest.mark.slow
@pytest.mark.parametrize("where", OWNERS)
def test_weights_are_those_that_the_configuration_names(
    where: str, away: HubStandIn, tmp_path: Path
) -> None:
    directory, source, commit = ask(away.url, tmp_path, "emotion2vec_base", where)
    assert (source, commit) == (f"{where}:{OWNERS[where]}/emotion2vec_base", COMMIT)
    assert (Path(directory) / BASE).is_file()
    assert away.asked[-1] == BASE
    # Once fetched, nothing is fetched again, and the hub need not even be there.
    count = len(away.asked)
    assert ask(away.url, tmp_path, "emotion2vec_base", where) == [directory, source, commit]
    assert len(away.asked) == count
    nowhere = "http://127.0.0.1:9"
    cached = ask(nowhere, tmp_path, "emotion2vec_base", where)
    assert cached[:2] == [directory, source]


@pytest.mark.parametrize("where", OWNERS)
def test_another_architecture_costs_no_weights(
    where: str, away: HubStandIn, tmp_path: Path
) -> None:
    owner = OWNERS[where]
    message = ask(away.url, tmp_path, f"{owner}/paraformer", where)
    assert "describes a 'Paraformer' model, not Emotion2vec; name an emotion2vec" in message
    message = ask(away.url, tmp_path, f"{owner}/whisper", where)
    assert "has no config.yaml, so it is no FunASR checkpoint" in message
    assert "model.pt" not in away.asked
    message = ask(away.url, tmp_path, f"{owner}/nothing", where)
    assert f"{owner}/nothing is no directory here, and can't be had from {where}" in message


def assert_resumed(directory: str, whole: Path, asked: list[str]) -> None:
    assert (Path(directory) / "model.pt").read_bytes() == whole.read_bytes()
    assert asked[-1].startswith("model.pt@"), "it was asked for from the start again"
    assert int(asked[-1].partition("@")[2]) >= 10_000_000


@pytest.mark.parametrize("where", OWNERS)
def test_a_cut_connection_goes_on_where_it_was(
    where: str, away: HubStandIn, tmp_path: Path, repositories: dict[str, Path]
) -> None:
    away.cuts = 1
    directory, _, _ = ask(away.url, tmp_path, "emotion2vec_plus_seed", where)
    whole = repositories[f"{OWNERS[where]}/emotion2vec_plus_seed"] / "model.pt"
    assert_resumed(directory, whole, away.asked)


def test_a_download_that_was_given_up_goes_on_when_asked_again(
    away: HubStandIn, tmp_path: Path, repositories: dict[str, Path]
) -> None:
    """On ModelScope: Hugging Face's client begins anew in every process."""
    away.cuts = 99
    message = ask(away.url, tmp_path, "emotion2vec_plus_seed", "modelscope")
    assert "can't be had from modelscope" in message
    away.cuts = 0
    directory, _, _ = ask(away.url, tmp_path, "emotion2vec_plus_seed", "modelscope")
    whole = repositories["iic/emotion2vec_plus_seed"] / "model.pt"
    assert_resumed(directory, whole, away.asked)


def test_a_hub_that_is_away_is_reported(tmp_path: Path) -> None:
    for where, other in (("modelscope", "huggingface"), ("huggingface", "modelscope")):
        message = ask("http://127.0.0.1:9", tmp_path, "emotion2vec_plus_large", where)
        assert f"can't be had from {where}" in message
        assert f"--hub {other}" in message


def test_short_names_are_those_of_funasr() -> None:
    assert all(
        is_hub_id(name)
        for name in ("emotion2vec_plus_seed", "emotion2vec_base_finetuned", "owner/model")
    )
    assert not any(is_hub_id(name) for name in ("emotion2vec_plus_larg", "models", "a/b/c", "./a"))


def test_a_mistyped_directory_is_no_id(tmp_path: Path, monkeypatch, capfd) -> None:
    (tmp_path / "models" / "plus_large").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(["models/plus_larg", "--output", "bundle"]) == 1
    error = capfd.readouterr().err
    assert "models/plus_larg is no directory, though models is one; correct the name" in error
