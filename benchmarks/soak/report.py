"""The report of a soak."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.markdown import MIB, table
from benchmarks.soak.result import MOST_GROWTH, VICTIM_GROUPS, Look, Soak

MARKS = (0, 25, 50, 75, 100)
"""Where memory is shown, in percent of the time."""


def report(soak: Soak) -> str:
    """Markdown."""
    plan, outcome, faults = soak.plan, soak.outcome, soak.faults()
    counts = {
        "final frames": outcome.frames,
        "utterances with their final result": outcome.utterances,
        "streams that left, all they had sent heard": outcome.left,
        "streams killed with their process": soak.killed,
        "streams drained at the end, the open utterance's final result told": outcome.drained,
        "streams that came while it stopped, refused": outcome.refused,
        "streams told DEGRADED": outcome.degraded,
        "most streams open at once": soak.most_active,
        "faults": len(faults),
    }
    idle = [soak.idle] if soak.idle else []
    seconds = soak.looks[-1].second if soak.looks else 0.0
    return "\n\n".join(
        (
            "# Soak",
            f"{soak.machine.date}, seed {plan.seed}.\n{soak.machine.summary}\n"
            f"Load average before the run: {soak.machine.busy:.2f}. The callers share these cores.",
            f"{plan.streams} live streams for {plan.seconds / 60:g} minutes on the demo model: "
            f"{plan.staying} stay, {plan.coming} leave after {plan.life[0]:g} to "
            f"{plan.life[1]:g} s and are followed by others, {VICTIM_GROUPS * plan.victims} "
            f"are killed after {plan.victims_life[0]:g} to {plan.victims_life[1]:g} s. Each sends "
            "16-bit speech at its own speed in utterances of "
            f"{plan.utterance[0]:g} to {plan.utterance[1]:g} s; each message, frame, "
            "utterance and sample is checked to come once and in its order.",
            table(("what", "count"), [(name, f"{count:,}") for name, count in counts.items()]),
            "\n".join(f"- {fault}" for fault in faults) or "No fault.",
            table(
                ("server", "second", "resident, MiB", "open files", "streams"),
                [
                    *(_row("idle", look) for look in idle),
                    *(_row(f"{mark} %", _at(soak.looks, mark)) for mark in MARKS if soak.looks),
                ],
            ),
            f"Memory, median of the last quarter against the second one: {soak.growth:+.1%}; "
            f"flat is up to {MOST_GROWTH:+.0%}. CPU: "
            f"{1000 * soak.cpu_seconds / (plan.streams * seconds or 1):.1f} ms for a second of a "
            f"stream. Stopped {soak.stop_seconds:.1f} s after SIGTERM; chunks were sent "
            f"{outcome.latest:.2f} s late at most.",
        )
    )


def _at(looks: Sequence[Look], mark: int) -> Look:
    return looks[round(mark / 100 * (len(looks) - 1))]


def _row(name: str, look: Look) -> list[str]:
    resident = f"{look.resident / MIB:.0f}"
    return [name, f"{look.second:.0f}", resident, str(look.files), str(look.active)]


def write(soak: Soak, directory: Path) -> Path:
    """Writes soak.json and soak.md into `directory`; the path of the latter."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "soak.json").write_text(json.dumps(asdict(soak)) + "\n")
    path = directory / "soak.md"
    path.write_text(report(soak) + "\n", encoding="utf-8")
    return path
