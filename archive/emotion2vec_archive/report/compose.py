"""From the scores of a table to what its report says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import takewhile

import numpy as np
from emotion2vec_client.command.terminal import shown
from emotion2vec_client.readings import ALERT_LABELS, ALERT_PROBABILITY, ALERT_SECONDS

from emotion2vec_archive.report.content import (
    AlertRow,
    Content,
    Kind,
    Listing,
    Mark,
    PathName,
    TopRow,
)
from emotion2vec_archive.report.scores import Scores, Stretch
from emotion2vec_archive.report.statistics import (
    confidences,
    emotions,
    groups,
    leaders,
    lengths,
    shares_of,
)
from emotion2vec_archive.report.words import clock, percent

MOST_GROUPS = 40
MOST_ALERTS = 25
MOST_PATHS = 25
"""Of one kind of failure or warning."""
_LEAST_WIDTH = 2.0
"""Thousandths: an alert of 2 s in 12 h is to be seen."""
_MEASURES = {"longest": "longest stretch", "share": "share of time", "peak": "peak"}
"""In the order of their buttons: a short recording may easily have all of its time."""


def compose(scores: Scores, *, by: str | None, count: int, today: date) -> Content:
    """The report's content.

    Args:
        scores: of the table.
        by: the column whose values make the groups; None stands for the folders.
        count: how many rows lead the list of a label and measure.
        today: when the report is made.

    Raises:
        ReportError: the table has no such column.
    """
    names = _names(scores)
    failed = int(scores.is_failed.sum())
    measures = {name: words for name, words in _MEASURES.items() if name in scores.measures}
    first = _first_label(scores)
    named = groups(scores, _group_names(scores, by, names))
    alerts = _alerts(scores, names)
    return Content(
        title=shown(scores.title),
        row_names=scores.row_names,
        models=scores.models,
        is_demo=any("emotion2vec_demo" in model for model in scores.models),
        date=f"{today.day} {today:%B %Y}",
        scored=len(scores.paths) - failed,
        seconds=float(np.nansum(scores.seconds)),
        labels=scores.labels,
        has_peaks="peak" in measures,
        alerted=sum(map(bool, scores.alerts)),
        doubtful=sum(map(bool, scores.warnings)),
        failed=failed,
        shares=tuple(shares_of(scores).tolist()),
        emotions=emotions(scores),
        lengths=lengths(scores),
        confidences=confidences(scores),
        measures=measures,
        first_label=first,
        count=count,
        top=list(_top(scores, names, tuple(measures), first, count)),
        alerts=Listing(alerts[:MOST_ALERTS], max(0, len(alerts) - MOST_ALERTS)),
        by=by or "folder",
        groups=Listing(named[:MOST_GROUPS], max(0, len(named) - MOST_GROUPS)),
        failures=_kinds(names, [[error] if error else [] for error in scores.errors]),
        warnings=_kinds(names, scores.warnings),
        notes=_notes(scores),
    )


def _first_label(scores: Scores) -> int:
    """The label that is looked at first: an alert label that is there, else the most frequent."""
    alarming = [index for index, label in enumerate(scores.labels) if label in ALERT_LABELS]
    ranked = alarming or [spread.label for spread in emotions(scores)]
    return ranked[0] if ranked else 0


# Paths


def _common_folder(paths: Sequence[str]) -> str:
    """What all paths begin with, up to and with a slash."""
    folders = [path.split("/")[:-1] for path in paths]
    # What the first and the last in order have in common, all have.
    pairs = zip(min(folders, default=[]), max(folders, default=[]), strict=False)
    common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return "/".join([*common, ""]) if common else ""


def _names(scores: Scores) -> list[PathName]:
    """What each row is called, without what all have in common."""
    skipped = len(_common_folder(scores.paths))
    names = []
    for path, number in zip(scores.paths, scores.numbers, strict=True):
        folder, slash, name = path[skipped:].rpartition("/")
        part = "" if number is None else f", {scores.row_names[0]} {number}"
        names.append(PathName(shown(folder + slash), shown(name), part))
    return names


def _group_names(scores: Scores, by: str | None, names: Sequence[PathName]) -> list[str]:
    if by is not None:
        return [shown(value) or "(none)" for value in scores.column(by)]
    return [name.folder.rstrip("/") or "." for name in names]


# The list of what leads


def _top(
    scores: Scores, names: Sequence[PathName], measures: Sequence[str], first: int, count: int
) -> Iterator[TopRow]:
    """All rows that are among the first `count` by any label and measure.

    So the page can rank by each of them without the rest of the table. Those that lead by what is
    chosen first come first.
    """
    if not measures:
        return
    values = {measure: scores.measures[measure] for measure in measures}
    shown_first = leaders(values[measures[0]][:, first], count)
    others = {
        row
        for measure in measures
        for label in range(len(scores.labels))
        for row in leaders(values[measure][:, label], count)
    }
    rows = [*shown_first, *sorted(others - set(shown_first))]
    for place, (row, stretches) in enumerate(zip(rows, scores.stretches(rows), strict=True)):
        is_first = place < len(shown_first)
        value = float(values[measures[0]][row, first])
        seconds = float(scores.seconds[row])
        yield TopRow(
            path=names[row],
            values={
                measure: [round(number, 4) for number in np.nan_to_num(column[row]).tolist()]
                for measure, column in values.items()
            },
            rank=place + 1 if is_first else 0,
            value=say(value, measures[0]) if is_first else "",
            leading=_leading(scores, row),
            length=clock(seconds) if math.isfinite(seconds) else "",
            spoken=_spoken(scores, stretches),
            spans=[
                _mark(
                    scores, row, part.start, part.end, scores.labels[part.label], part.probability
                ).colored(part.label, part.probability)
                for part in stretches
            ],
            alerts=[
                _mark(scores, row, alert.start, alert.end, alert.label, alert.probability)
                for alert in scores.alerts[row]
            ],
        )


def say(value: float, measure: str) -> str:
    """A measure's value; page.js says it alike."""
    return f"{value:.1f} s" if measure == "longest" else percent(value)


def _leading(scores: Scores, row: int) -> str:
    label = int(scores.leading[row])
    if label < 0:
        return ""
    return f"{scores.labels[label]} {percent(float(scores.confidences[row]))} overall"


def _spoken(scores: Scores, stretches: Sequence[Stretch]) -> str:
    parts = (
        f"{scores.labels[part.label]} {clock(part.start)} to {clock(part.end)}"
        for part in stretches[:20]
    )
    return ", ".join(parts) or "no time line"


def _mark(
    scores: Scores, row: int, start: float, end: float, label: str, probability: float
) -> Mark:
    """Where something from `start` to `end` of the recording lies in a row's time line."""
    seconds = scores.seconds[row]
    scale = 1000 / seconds if seconds > 0 else 0.0
    width = max(_LEAST_WIDTH, (end - start) * scale)
    left = (start - scores.starts[row]) * scale
    said = f"{clock(start)} to {clock(end)}: {label} {percent(probability)}"
    return Mark(round(left, 2), round(width, 2), said)


# Alerts, failures, warnings


def _alerts(scores: Scores, names: Sequence[PathName]) -> list[AlertRow]:
    """All alerts, the longest first."""
    rows = (
        AlertRow(name, alert.start, alert.end, alert.label, alert.probability)
        for name, alerts in zip(names, scores.alerts, strict=True)
        for alert in alerts
    )
    return sorted(rows, key=lambda alert: alert.start - alert.end)


def _kinds(names: Sequence[PathName], said: Iterable[Sequence[tuple[str, str]]]) -> list[Kind]:
    """What was said of the rows, by code, the most frequent first."""
    examples: dict[str, str] = {}
    found: dict[str, list[PathName]] = {}
    for name, notes in zip(names, said, strict=True):
        for code, message in dict(notes).items():
            examples.setdefault(code, message)
            found.setdefault(code, []).append(name)
    kinds = (
        Kind(shown(code), shown(examples[code]), len(rows), rows[:MOST_PATHS])
        for code, rows in found.items()
    )
    return sorted(kinds, key=lambda kind: (-kind.count, kind.code))


def _notes(scores: Scores) -> list[tuple[str, str]]:
    row = scores.row_names[0]
    notes = [
        (
            "Leads",
            f"how many {scores.row_names[1]} have this emotion as their label: the one with the "
            f"highest probability over the whole {row}.",
        )
    ]
    if "share" in scores.measures:
        notes.append(
            (
                "Share",
                "how much of the time an emotion leads, after smoothing; over several "
                f"{scores.row_names[1]}, by their lengths.",
            )
        )
    if "peak" in scores.measures:
        notes.append(("Peak", f"the highest smoothed probability within a {row}."))
    if "longest" in scores.measures:
        notes.append(("Longest stretch", "for how long it leads without a break, in seconds."))
    notes.append(
        (
            "Alert",
            f"{' or '.join(ALERT_LABELS)} together have {ALERT_PROBABILITY:.0%} or more for at "
            f"least {ALERT_SECONDS:g} s.",
        )
    )
    notes.append(
        (
            "All of it",
            "is a guess about a sound by a model, not knowledge of a person. The thresholds are "
            "rules of thumb for a first look.",
        )
    )
    return notes
