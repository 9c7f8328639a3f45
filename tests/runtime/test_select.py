"""Which artefact of a bundle is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from emotion2vec_runtime.backends import onnx_runtime, select
from emotion2vec_runtime.backends.instructions import best_of
from emotion2vec_runtime.backends.onnx_runtime import available_providers
from emotion2vec_runtime.backends.providers import Provider, provider_named
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import (
    Artifact,
    Bundle,
    Engine,
    Parity,
    ParityRow,
    Profile,
    Refusal,
    load_bundle,
)
from emotion2vec_runtime.errors import BundleError, ConfigError, LoadError
from emotion2vec_runtime.recognition.recognizer import DEMO_BUNDLE
from pydantic import ValidationError

MakeBundle = Callable[..., Bundle]


@pytest.fixture
def bundle_of() -> MakeBundle:
    """A bundle with these precisions, all of them the demo graph; whether each passed its check."""

    def make(**passed: bool) -> Bundle:
        demo = load_bundle(DEMO_BUNDLE)
        fp32 = demo.manifest.artifacts[0]
        artifacts = tuple(
            fp32.model_copy(update={"precision": precision, "parity": parity(0.01 if good else 1)})
            for precision, good in passed.items()
        )
        return Bundle(DEMO_BUNDLE, demo.manifest.model_copy(update={"artifacts": artifacts}))

    return make


def parity(difference: float | None, embedding: float = 0) -> Parity:
    row = ParityRow(
        case="speech",
        seconds=1,
        probability_difference=difference,
        embedding_cosine=1,
        frame_embedding_difference=embedding,
    )
    return Parity(reference="funasr", bound=0.02, rows=(row,))


@pytest.mark.parametrize(
    ("artifacts", "chosen"),
    [
        ({"fp32": True, "int8": True}, "int8"),
        ({"int8": True, "fp32": True}, "int8"),
        ({"fp32": True, "int8": False}, "fp32"),
        ({"fp32": True}, "fp32"),
        ({"int8": True}, "int8"),
        ({"fp32": True, "fp16": True}, "fp32"),
    ],
)
def test_auto_on_a_cpu(bundle_of: MakeBundle, artifacts: dict[str, bool], chosen: str) -> None:
    backend = load_backend(bundle_of(**artifacts), precision="auto", provider="cpu", threads=1)
    assert (backend.precision, backend.provider) == (chosen, "cpu")


@pytest.mark.parametrize(
    ("flags", "best", "chosen"),
    [
        ("sse4_1 avx avx2 avx512f avx512_vnni", "AVX-512 VNNI", "int8"),
        ("sse4_1 avx avx2 avx_vnni", "AVX-VNNI", "int8"),
        ("sse4_1 avx avx2", "AVX2", "int8"),
        ("sse4_1 avx", None, "fp32"),
    ],
)
def test_auto_goes_by_the_cpu_and_says_so(
    bundle_of: MakeBundle, flags: str, best: str | None, chosen: str, monkeypatch, caplog
) -> None:
    cpu_info = f"processor\t: 0\nflags\t\t: fpu {flags}\nbugs\t\t: none\n"
    assert best_of(cpu_info) == best
    monkeypatch.setattr(select, "byte_instructions", lambda: best_of(cpu_info))
    with caplog.at_level("INFO"):
        backend = load_backend(bundle_of(fp32=True, int8=True), provider="cpu", threads=1)
    assert backend.precision == chosen
    (record,) = [record for record in caplog.records if record.message == "loading model"]
    assert (record.precision, record.int8_instructions) == (chosen, best or "none")


def test_int8_alone_is_loaded_on_any_cpu(bundle_of: MakeBundle, monkeypatch) -> None:
    monkeypatch.setattr(select, "byte_instructions", lambda: None)
    backend = load_backend(bundle_of(int8=True), provider="cpu", threads=1)
    assert backend.precision == "int8"


def test_what_is_wished_is_loaded(bundle_of: MakeBundle) -> None:
    bundle = bundle_of(fp32=True, int8=True)
    backend = load_backend(bundle, precision="fp32", provider="cpu", threads=1)
    assert backend.precision == "fp32"


def test_what_is_not_there_is_refused(bundle_of: MakeBundle) -> None:
    with pytest.raises(ConfigError, match="holds only fp32; export it with --precision int8"):
        load_backend(bundle_of(fp32=True), precision="int8", provider="cpu", threads=1)


def test_why_the_export_refused_it_is_told(bundle_of: MakeBundle) -> None:
    bundle = bundle_of(fp32=True)
    refusal = Refusal(kind="onnx", precision="int8", reason="speech, alone: too far off")
    bundle.manifest = bundle.manifest.model_copy(update={"refused": (refusal,)})
    with pytest.raises(ConfigError, match=r"refused it \(speech, alone: too far off\)"):
        load_backend(bundle, precision="int8", provider="cpu", threads=1)


def test_auto_never_loads_what_failed_its_check(bundle_of: MakeBundle) -> None:
    with pytest.raises(ConfigError, match="passed its parity check"):
        load_backend(bundle_of(int8=False), precision="auto", provider="cpu", threads=1)


class OnACard:
    """Stands for ONNX Runtime on a card."""

    provider = "cuda"

    def __init__(self, path: Path, provider: Provider, *, device: int, **_: object) -> None:
        if device in self.full:
            raise LoadError("CUDA failure 2: out of memory")
        self.loaded.append(device)

    loaded: ClassVar[list[int]] = []
    full: ClassVar[set[int]] = set()


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> type[OnACard]:
    """A machine with two cards and ONNX Runtime's CUDA provider."""
    cards = [SimpleNamespace(number=number, name=f"Card {number}") for number in range(2)]
    monkeypatch.setattr(select, "_cards", lambda: cards)
    monkeypatch.setattr(onnx_runtime, "available_providers", lambda: (provider_named("cuda"),))
    monkeypatch.setattr(onnx_runtime, "OnnxRuntimeBackend", OnACard)
    monkeypatch.setattr(OnACard, "loaded", [])
    monkeypatch.setattr(OnACard, "full", set())
    return OnACard


def test_all_cards_work_unless_told_otherwise(
    bundle_of: MakeBundle, two_cards: type[OnACard], caplog: pytest.LogCaptureFixture
) -> None:
    assert load_backend(bundle_of(fp16=True), provider="cuda", instances=0).cards == 2
    assert two_cards.loaded == [0, 1]
    assert not caplog.records
    load_backend(bundle_of(fp16=True), provider="cuda", instances=1)
    assert two_cards.loaded == [0, 1, 0]
    assert "1 of 2 cards are idle: with 2 instances or more all of them work" in caplog.text


def test_which_card_can_not_load_it_is_said(
    bundle_of: MakeBundle, two_cards: type[OnACard]
) -> None:
    two_cards.full.add(1)
    with pytest.raises(LoadError, match=r"card 1 \(Card 1\): .* out of memory"):
        load_backend(bundle_of(fp16=True), provider="cuda", instances=0)


def test_what_differs_from_its_manifest_is_refused(bundle_of: MakeBundle) -> None:
    bundle = bundle_of(fp32=True)
    (fp32,) = bundle.manifest.artifacts
    wrong = fp32.model_copy(update={"sha256": 64 * "0"})
    bundle.manifest = bundle.manifest.model_copy(update={"artifacts": (wrong,)})
    with pytest.raises(BundleError, match="differs from its manifest"):
        load_backend(bundle, precision="auto", provider="cpu", threads=1)


def test_embeddings_decide_where_there_are_no_probabilities() -> None:
    assert parity(None, embedding=0.01).passed
    assert not parity(None, embedding=0.5).passed
    assert parity(0.01, embedding=0.5).passed
    assert not parity(float("nan")).passed


def test_a_clip_without_speech_does_not_decide() -> None:
    (row,) = parity(0.05).rows
    for decides in (True, False):
        rows = (row.model_copy(update={"decides": decides}),)
        assert Parity(reference="funasr", bound=0.02, rows=rows).passed != decides


ENGINE = Engine(
    library="tensorrt",
    version="0.0",
    compute_capabilities=("1.0",),
    profiles=(Profile(minimum=(1, 400), optimum=(1, 400), maximum=(1, 480000)),),
    onnx_sha256="0" * 64,
)


@pytest.fixture
def with_engine(bundle_of: MakeBundle) -> Bundle:
    """A bundle with an fp32 graph, and an engine of a TensorRT that nobody has."""
    bundle = bundle_of(fp32=True)
    (graph,) = bundle.manifest.artifacts
    changes = {"kind": "tensorrt", "precision": "fp16", "parity": None, "engine": ENGINE}
    artifacts = (graph.model_copy(update=changes), graph)
    return Bundle(bundle.directory, bundle.manifest.model_copy(update={"artifacts": artifacts}))


def test_an_engine_that_does_not_fit_is_passed_over_loudly(with_engine: Bundle, caplog) -> None:
    backend = load_backend(with_engine, precision="auto", provider="auto", threads=1)
    assert backend.precision == "fp32"
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "the TensorRT engine model.fp32.onnx is not used: " in warning.message


def test_an_engine_is_nothing_for_a_cpu(with_engine: Bundle, caplog) -> None:
    load_backend(with_engine, precision="auto", provider="cpu", threads=1)
    assert not caplog.records


@pytest.mark.skipif(
    provider_named("tensorrt") in available_providers(), reason="ONNX Runtime has TensorRT"
)
def test_a_wish_for_tensorrt_is_met_or_refused(with_engine: Bundle, caplog) -> None:
    with pytest.raises(ConfigError, match=r"provider tensorrt: .* offers only"):
        load_backend(with_engine, precision="auto", provider="tensorrt", threads=1)
    assert "is not used" in caplog.text


@pytest.mark.parametrize(
    ("provider", "parity_given", "reason"),
    [
        ("auto", None, "it was never compared with PyTorch"),
        ("tensorrt", None, None),
        ("auto", parity(1), "it failed its parity check"),
        ("tensorrt", parity(1), "it failed its parity check"),
        ("auto", parity(0.01), None),
    ],
)
def test_what_was_never_measured_is_taken_only_when_asked_for(
    with_engine: Bundle, monkeypatch, provider, parity_given, reason
) -> None:
    monkeypatch.setattr(select, "misfit", lambda *args, **options: None)
    engine, _ = with_engine.manifest.artifacts
    engine = engine.model_copy(update={"parity": parity_given})
    said = select._unfit(with_engine, engine, ENGINE, provider, 0)
    assert said is None if reason is None else reason in str(said)


def test_an_engine_entry_is_whole(with_engine: Bundle) -> None:
    engine, graph = (artifact.model_dump() for artifact in with_engine.manifest.artifacts)
    assert Artifact(**engine).parity is None
    assert not Artifact(**engine).faithful
    for broken in (engine | {"engine": None}, graph | {"engine": ENGINE}, graph | {"parity": None}):
        with pytest.raises(ValidationError):
            Artifact(**broken)
