"""A model that is named by its hub's id."""

from __future__ import annotations

from pathlib import Path

import pytest
from emotion2vec_runtime.errors import ConfigError
from emotion2vec_server.process import hub_models


def test_ids_are_told_from_directories(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "models" / "emotion2vec_here").mkdir(parents=True)
    (tmp_path / "emotion2vec_base").mkdir()
    monkeypatch.chdir(tmp_path)
    ids = ("iic/emotion2vec_plus_base", "emotion2vec_plus_large", "somebody/tuned-1.0")
    assert all(hub_models.is_hub_id(Path(name)) for name in ids)
    others = ("models/plus_larg", "models/emotion2vec_here", "emotion2vec_base", "/a/b", "../a")
    assert not any(hub_models.is_hub_id(Path(name)) for name in others)


@pytest.mark.parametrize(
    ("precision", "provider", "forms"),
    [
        ("auto", "cpu", "fp32 int8"),
        ("auto", "cuda", "fp32 fp16"),
        ("fp32", "cpu", "fp32"),
        ("fp16", "cpu", "fp32 fp16"),
    ],
)
def test_without_the_exporter_it_says_the_command(
    precision: str, provider: str, forms: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(hub_models, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        hub_models.bundle_directory(
            Path("iic/emotion2vec_plus_base"), precision=precision, provider=provider
        )
    command = f"emotion2vec-export iic/emotion2vec_plus_base --output DIR --precision {forms}, and"
    assert command in str(caught.value)
    assert list(tmp_path.iterdir()) == []
