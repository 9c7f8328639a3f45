"""What came out of a training run, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from emotion2vec_export.demo import synthesis
from emotion2vec_export.demo.corpus import LABELS
from emotion2vec_export.demo.evaluation import Evaluation
from emotion2vec_export.demo.recipe import NAME, Plan

_PACKAGES = ("funasr", "numpy", "torch")
_DOUBTFUL = 0.60
"""Below this confidence the server warns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run; `final_loss` is the mean of the last steps."""

    plan: Plan
    parameters: int
    synthesis_seconds: float
    training_seconds: float
    final_loss: float
    evaluation: Evaluation


def write_report(run: Run, directory: Path) -> None:
    """Writes report.json and REPORT.md."""
    directory.mkdir(parents=True, exist_ok=True)
    facts = _facts(run)
    (directory / "report.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    (directory / "REPORT.md").write_text(_text(facts), encoding="utf-8")


def _facts(run: Run) -> dict[str, Any]:
    result = run.evaluation
    confidences = np.quantile(result.confidences, [0.05, 0.25, 0.5, 0.75, 0.95])
    return {
        "model": NAME,
        "parameters": run.parameters,
        "plan": asdict(run.plan),
        "synthesis_seconds": round(run.synthesis_seconds),
        "training_seconds": round(run.training_seconds),
        "final_loss": round(run.final_loss, 4),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
            "espeak-ng": synthesis.version(),
        },
        "held_out": {
            "clips": int(result.confusion.sum()),
            "accuracy": round(result.accuracy, 4),
            "frame_accuracy": round(result.frame_accuracy, 4),
            "recall": {
                label: round(float(recall), 4)
                for label, recall in zip(LABELS, result.recalls, strict=True)
            },
            "confidence_quantiles": {
                name: round(float(value), 3)
                for name, value in zip(("5%", "25%", "50%", "75%", "95%"), confidences, strict=True)
            },
            "doubtful_share": round(float((result.confidences < _DOUBTFUL).mean()), 4),
            "labels": list(LABELS),
            "confusion": result.confusion.tolist(),
        },
    }


def _text(facts: dict[str, Any]) -> str:
    held_out, plan = facts["held_out"], facts["plan"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    steps = f"{plan['steps']} steps of about {plan['batch_seconds']:g} s of audio"
    quantiles = ", ".join(f"{k}: {v}" for k, v in held_out["confidence_quantiles"].items())
    return f"""# {NAME}: how it was made and what it can do

A tiny emotion2vec ({facts["parameters"]:,} parameters) trained on speech that espeak-ng synthesised
with nine exaggerated manners of speaking. **It is a demo.** It tells these manners apart; it has
never heard a person, and its answers about people's speech mean nothing. Use it to try the server,
the clients and the tests, and a real emotion2vec+ checkpoint for everything else.

Made with `python -m emotion2vec_export.demo --output DIR --seed {plan["seed"]}
--blocks {plan["blocks"]}`.

| | |
| --- | --- |
| corpus | {plan["clips_per_class"]} clips a class, {facts["synthesis_seconds"]} s to synthesise |
| training | {steps}, {facts["training_seconds"]} s |
| hardware | {facts["hardware"]}, shared with other work: times are upper bounds |
| versions | {versions} |
| loss at the end | {facts["final_loss"]} (with label smoothing {plan["label_smoothing"]}) |

## Held-out set

{held_out["clips"]} clips of sentences *and* voices that training never used (two of its languages
too), 0.6 to 6 s, with noise 15 to 40 dB below the speech and one in ten over a telephone line. What
is not held out: the synthesiser, the way each class is rendered, and the kinds of sound that
`unknown` stands for. The recipe was also adjusted a few times with this set in view. So this
measures that the model learned its task, not that the task is real.

- accuracy: **{held_out["accuracy"]:.1%}**; single frames: {held_out["frame_accuracy"]:.1%}
- confidence quantiles: {quantiles}
- answers under {_DOUBTFUL:.0%} confidence: {held_out["doubtful_share"]:.1%}

Rows: what was played; columns: what the model said.

{_table(held_out)}
"""


def _table(held_out: dict[str, Any]) -> str:
    labels = held_out["labels"]
    lines = [
        "| | " + " | ".join(labels) + " | recall |",
        "| --- |" + " ---: |" * (len(labels) + 1),
    ]
    for label, row in zip(labels, held_out["confusion"], strict=True):
        cells = " | ".join(str(count or "") for count in row)
        lines.append(f"| **{label}** | {cells} | {held_out['recall'][label]:.0%} |")
    return "\n".join(lines)
