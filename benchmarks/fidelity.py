"""How close each precision of a bundle comes to its fp32 graph, on the held-out clips.

    python -m benchmarks.fidelity BUNDLE [--checkpoint DIR]

A clip's difference is the largest of its classes' differences in probability. Labels are compared
where fp32's margin between its two best classes is over 0.05: below, fp32 itself is undecided. For
a bundle that holds fp32 alone, such as the demo model's, `--checkpoint` exports its other
precisions to a temporary directory first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from emotion2vec_export.checkpoint import read_checkpoint
from emotion2vec_export.destination import Destination
from emotion2vec_export.pipeline import export_bundle
from emotion2vec_export.precision import RECIPES
from emotion2vec_export.requirements import Requirements
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import Bundle, Parity, Precision, load_bundle
from emotion2vec_runtime.recognition.emotion import Classes

from benchmarks import machine
from benchmarks.markdown import table
from benchmarks.speech import ROOT

HELDOUT = ROOT / "tests" / "data" / "heldout"
DECIDED = 0.05


class Answer(NamedTuple):
    """What one precision says of one clip."""

    probabilities: Float32
    """[C]"""
    frames: Float32
    """[T, C]"""
    embedding: Float32
    """[D]"""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One precision against fp32, over all clips."""

    largest: float
    mean: float
    frames_p99: float
    """Of the frames' differences."""
    cosine: float
    """The smallest of the embeddings' cosines."""
    decided: int
    """Clips on which fp32 has a margin over DECIDED."""
    kept: int
    """Those of them that keep their label."""


@dataclass(frozen=True, slots=True)
class BundleFidelity:
    """All precisions of one bundle."""

    model: str
    labels: list[str]
    clips: int
    rounded: dict[str, Fidelity]
    """By precision; fp32 is what the others are held against."""
    confusions: dict[str, list[list[int]]]
    """By precision; empty for a model that was not trained."""


def answers(bundle: Bundle, precision: Precision, clips: list[Float32]) -> list[Answer]:
    """Runs the clips one by one."""
    backend = load_backend(bundle, precision=precision, provider="cpu", threads=machine.cores())
    classes = Classes(bundle.manifest.labels)
    said = []
    for clip in clips:
        outputs = backend.run(clip[None], np.array([len(clip)], dtype=np.int64))
        if outputs.logits is None or outputs.frame_logits is None:
            raise SystemExit("this model has no classifier")
        said.append(
            Answer(
                classes.probabilities(outputs.logits[0]),
                classes.probabilities(outputs.frame_logits[0]),
                outputs.embedding[0],
            )
        )
    return said


def compare(exact: list[Answer], rounded: list[Answer]) -> Fidelity:
    """Holds the answers of another precision against those of fp32."""
    pairs = list(zip(exact, rounded, strict=True))
    differences = [np.abs(a.probabilities - b.probabilities).max() for a, b in pairs]
    frames = np.concatenate([np.abs(a.frames - b.frames).max(axis=1) for a, b in pairs])
    margins = np.array([np.diff(np.sort(a.probabilities)[-2:])[0] for a, _ in pairs])
    same = np.array([a.probabilities.argmax() == b.probabilities.argmax() for a, b in pairs])
    return Fidelity(
        largest=float(np.max(differences)),
        mean=float(np.mean(differences)),
        frames_p99=float(np.quantile(frames, 0.99)),
        cosine=min(_cosine(a.embedding, b.embedding) for a, b in pairs),
        decided=int((margins > DECIDED).sum()),
        kept=int(same[margins > DECIDED].sum()),
    )


def confusion(labels: list[str], truths: list[str], said: list[Answer]) -> np.ndarray:
    """Clips int64 [C, C]: row what was played, column the answer."""
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for truth, answer in zip(truths, said, strict=True):
        counts[labels.index(truth), answer.probabilities.argmax()] += 1
    return counts


def _cosine(a: Float32, b: Float32) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def measure(bundle: Bundle) -> BundleFidelity:
    """Runs the held-out clips through every precision of a bundle."""
    truths: dict[str, str] = json.loads((HELDOUT / "index.json").read_text(encoding="utf-8"))
    clips = [soundfile.read(HELDOUT / name, dtype="float32")[0] for name in truths]
    precisions = [item.precision for item in bundle.manifest.artifacts if item.kind == "onnx"]
    said = {precision: answers(bundle, precision, clips) for precision in precisions}
    labels = [label.name for label in bundle.manifest.labels]
    knows = set(truths.values()) <= set(labels)
    return BundleFidelity(
        model=f"{bundle.manifest.name} {bundle.manifest.version}",
        labels=labels,
        clips=len(clips),
        rounded={
            precision: compare(said["fp32"], said[precision])
            for precision in precisions
            if precision != "fp32"
        },
        # The answers of a model with random weights have nothing to do with what was played.
        confusions={
            precision: confusion(labels, list(truths.values()), said[precision]).tolist()
            for precision in precisions
            if knows and bundle.manifest.demo
        },
    )


def section(results: list[BundleFidelity]) -> str:
    """The report's part, and what the command prints."""
    parts = [
        "## Fidelity: each precision against fp32",
        "The held-out clips of `tests/data/heldout`; labels kept where fp32's margin is over "
        f"{DECIDED:g}.",
        table(
            [
                "model",
                "precision",
                "largest",
                "mean",
                "frames, 99%",
                "smallest cosine",
                "labels kept",
            ],
            [
                [
                    result.model,
                    precision,
                    *(f"{value:.4f}" for value in (found.largest, found.mean, found.frames_p99)),
                    f"{found.cosine:.6f}",
                    f"{found.kept} of {found.decided}",
                ]
                for result in results
                for precision, found in result.rounded.items()
            ],
        ),
    ]
    for result in results:
        for precision, counts in result.confusions.items():
            right = sum(line[index] for index, line in enumerate(counts))
            parts.append(
                f"{result.model} in {precision}: {right} of {result.clips} right; "
                "down: played, across: answered."
            )
            rows = [
                [label, *(str(count or "") for count in line)]
                for label, line in zip(result.labels, counts, strict=True)
            ]
            parts.append(table(["", *result.labels], rows))
    return "\n\n".join(parts)


@contextlib.contextmanager
def demo() -> Iterator[Bundle]:
    """The demo model in every precision: the bundled one holds fp32 alone."""
    with exported(ROOT / "export" / "demo" / "checkpoint", "emotion2vec_demo", demo=True) as bundle:
        yield bundle


class _Silent:
    """Progress of an export that nobody watches."""

    def begin(self, steps: int, needed: Requirements) -> None: ...

    def step(self, what: str) -> None: ...

    def detail(self, what: str) -> None: ...

    def measured(self, precision: str, parity: Parity) -> None: ...

    def unmeasured(self, precision: str, why: str) -> None: ...

    def kept(self, what: str) -> None: ...


@contextlib.contextmanager
def exported(checkpoint: Path, name: str, *, demo: bool = False) -> Iterator[Bundle]:
    """A temporary bundle of the checkpoint in every precision."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "bundle"
        export_bundle(
            read_checkpoint(checkpoint),
            Destination(output),
            name=name,
            source=str(checkpoint),
            precisions=list(RECIPES),
            progress=_Silent(),
            demo=demo,
        )
        yield load_bundle(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="export this in all precisions instead")
    options = parser.parse_args()
    bundle, here = load_bundle(options.bundle), machine.describe()
    print(f"{here.processor} ({here.instruction_set}), {here.date}\n")
    if options.checkpoint is None:
        print(section([measure(bundle)]))
    else:
        manifest = bundle.manifest
        with exported(options.checkpoint, manifest.name, demo=manifest.demo) as whole:
            print(section([measure(whole)]))


if __name__ == "__main__":
    main()
