"""The table of providers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from emotion2vec_runtime.backends import onnx_runtime, select
from emotion2vec_runtime.backends.providers import PROVIDERS, Provider, provider_named
from emotion2vec_runtime.bundle import load_bundle
from emotion2vec_runtime.errors import LoadError
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE

COREML = Provider(
    name="coreml",
    execution_provider="CoreMLExecutionProvider",
    precisions=("fp16", "fp32"),
    memory="host",
    options={"ModelFormat": "MLProgram"},
)


def test_names_are_one_each_and_fallbacks_exist() -> None:
    names = [provider.name for provider in PROVIDERS]
    assert len(set(names)) == len(names)
    for provider in PROVIDERS:
        assert all(provider_named(name) in PROVIDERS for name in provider.fallbacks)


def test_there_is_always_one_to_take() -> None:
    available = onnx_runtime.available_providers()
    assert any(provider.automatic for provider in available)
    assert provider_named("cpu") in available


class Session:
    """What ONNX Runtime would be asked for."""

    asked: Sequence[Any] = ()

    def __init__(self, _path: Path, _options: object, providers: Sequence[Any]) -> None:
        Session.asked = providers

    def get_providers(self) -> list[str]:
        return [name for name, _ in Session.asked]

    def get_outputs(self) -> list[Any]:
        return []


def test_a_row_is_all_that_a_new_provider_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (COREML, *PROVIDERS)
    monkeypatch.setattr(onnx_runtime, "PROVIDERS", rows)
    monkeypatch.setattr(
        onnx_runtime.ort,
        "get_available_providers",
        lambda: ["CoreMLExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(onnx_runtime.ort, "InferenceSession", Session)
    backend = select.load_backend(load_bundle(DEMO_BUNDLE))
    assert (backend.provider, backend.precision) == ("coreml", "fp32")
    assert list(Session.asked) == [
        ("CoreMLExecutionProvider", {"ModelFormat": "MLProgram"}),
        ("CPUExecutionProvider", {}),
    ]


def test_a_card_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime.ort, "InferenceSession", Session)
    monkeypatch.setattr(onnx_runtime.ort, "preload_dlls", lambda: None)
    onnx_runtime.OnnxRuntimeBackend(
        Path("graph"), provider_named("cuda"), precision="fp16", device=3
    )
    (cuda, options), cpu = Session.asked
    assert (cuda, options["device_id"]) == ("CUDAExecutionProvider", 3)
    assert cpu == ("CPUExecutionProvider", {})


def test_a_provider_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without(Session):
        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnx_runtime.ort, "InferenceSession", Without)
    monkeypatch.setattr(onnx_runtime.ort, "preload_dlls", lambda: None)
    with pytest.raises(LoadError, match="could not start its cuda provider"):
        onnx_runtime.OnnxRuntimeBackend(Path("graph"), provider_named("cuda"), precision="fp16")
