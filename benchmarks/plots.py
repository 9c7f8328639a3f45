"""The report's plots. One figure a function; each returns the name of the file that it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from benchmarks.comparison import OURS, Comparison
from benchmarks.latency import REFERENCE, TARGET_SECONDS, Latency
from benchmarks.load import Load, Loop
from benchmarks.markdown import rate
from benchmarks.streams import LIMIT_SECONDS, Streams

mpl.use("agg")

INK, GRID = "#2f3440", "#e6e8ec"
ACCENT, MUTED = "#c2410c", "#94a3b8"
SERIES = ("#1d4ed8", "#0891b2", "#7c3aed", "#ca8a04", "#64748b", "#059669")
_STYLE: dict[Any, Any] = {
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}


def load(result: Load, directory: Path) -> str:
    """Latency percentiles against throughput, a row a model: closed loops left, open ones right."""
    names = list(dict.fromkeys(loop.model for loop in result.loops))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(13, 3.7 * len(names)))
        axes = figure.subplots(len(names), 2, squeeze=False, sharey="row", width_ratios=(2, 1))
        for (left, right), name in zip(axes, names, strict=True):
            loops = [loop for loop in result.loops if loop.model == name]
            closed = [loop for loop in loops if loop.callers]
            opened = [loop for loop in loops if not loop.callers]
            _percentiles(left, closed, [f"{loop.callers} {loop.encoding}" for loop in closed])
            left.set(title=f"{name}: closed loop", xlabel="callers", ylabel="latency, ms")
            _percentiles(right, opened, [f"{loop.share:.0%}" for loop in opened])
            right.set(title=f"{name}: open loop", xlabel="arrivals, share of capacity")
            left.legend(loc="upper left", ncols=3)
        figure.savefig(directory / "load.png")
    return "load.png"


def _percentiles(axis: Axes, loops: Sequence[Loop], labels: Sequence[str]) -> None:
    """Grouped bars p50, p95, p99, with the throughput written under each group."""
    places = range(len(loops))
    shades = ("#1d4ed8", "#60a5fa", "#bfdbfe")
    for index, (name, shade) in enumerate(zip(("p50", "p95", "p99"), shades, strict=True)):
        heights = [1000 * getattr(loop.cell.latency, name) for loop in loops]
        axis.bar(
            [place + 0.27 * (index - 1) for place in places], heights, 0.25, color=shade, label=name
        )
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:,g}")
    axis.grid(visible=False, axis="x")
    axis.margins(y=0.2)
    rates = [f"{label}\n{loop.cell.rate:.3g}/s" for label, loop in zip(labels, loops, strict=True)]
    axis.set_xticks(list(places), rates)


def peers(result: Comparison, directory: Path) -> str:
    """Throughput of every server: a row a model, a column a number of callers."""
    models = list(dict.fromkeys(turn.model for turn in result.turns))
    columns = sorted({turn.callers for turn in result.turns})
    servers = list(dict.fromkeys(turn.server for turn in result.turns))
    with mpl.rc_context(_STYLE):
        size = (3.5 * len(columns) + 1.2, (0.36 * len(servers) + 1.3) * len(models))
        figure = Figure(figsize=size)
        for row, model in enumerate(models):
            shown = 0
            for callers in columns:
                if not result.rates(model, OURS, callers):
                    continue
                place = row * len(columns) + shown + 1
                axis = figure.add_subplot(len(models), len(columns), place)
                _bars(axis, result, model, callers, servers)
                if shown:
                    axis.set_yticklabels([])
                shown += 1
        figure.savefig(directory / "peers.png")
    return "peers.png"


def _bars(axis: Axes, result: Comparison, model: str, callers: int, servers: Sequence[str]) -> None:
    """One bar a server, its rounds as dots, the ceiling as a line."""
    for place, name in enumerate(reversed(servers)):
        rates = result.rates(model, name, callers)
        if not rates:
            continue
        axis.barh(place, median(rates), 0.66, color=ACCENT if name.startswith(OURS) else MUTED)
        axis.plot(rates, [place] * len(rates), "o", color=INK, markersize=2.5)
        axis.annotate(
            rate(median(rates)),
            (max(rates), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axis.set_yticks(range(len(servers)), list(reversed(servers)))
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.25)
    if callers > 1:
        ceiling = result.ceilings[model].rate
        axis.axvline(ceiling, color=INK, linestyle="--", linewidth=1, zorder=0)
        axis.annotate(
            "in-process ceiling",
            (ceiling, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.set_title(f"{model}, {callers} {'caller' if callers == 1 else 'callers'}", pad=18)
    axis.set_xlabel("speech seconds a second")


def latency(result: Latency, directory: Path) -> str:
    """Seconds an answer against seconds of audio, and the ratio to FunASR."""
    names = list(result.starts)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10, 4.2))
        times, ratios = figure.subplots(1, 2, width_ratios=(3, 2))
        times.axhspan(*TARGET_SECONDS, color="#dcfce7", zorder=0)
        times.annotate(
            "0.5 to 2 s, promised on a GPU",
            (result.lengths[-1], TARGET_SECONDS[0]),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color="#166534",
            fontsize=9,
        )
        for name in names:
            color = _color(name, names)
            seconds = [result.seconds(name, length) for length in result.lengths]
            times.plot(result.lengths, seconds, "o-", color=color, label=name, markersize=5)
        times.set_xscale("log")
        times.set_yscale("log")
        labels = [f"{length:g}" for length in result.lengths]
        times.set_xticks(result.lengths, labels)
        times.minorticks_off()
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if _inside(tick, times)]
        times.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        times.set(title="Time to an answer", xlabel="audio, s", ylabel="s")
        times.legend(loc="upper left")
        _speedups(ratios, result, [name for name in names if name != REFERENCE], names)
        figure.savefig(directory / "latency.png")
    return "latency.png"


def _inside(tick: float, axis: Axes) -> bool:
    low, high = axis.get_ylim()
    return low <= tick <= high


def _speedups(axis: Axes, result: Latency, shown: Sequence[str], names: Sequence[str]) -> None:
    width = 0.8 / len(shown)
    for index, name in enumerate(shown):
        places = [
            place + (index - (len(shown) - 1) / 2) * width for place in range(len(result.lengths))
        ]
        ratios = [
            result.seconds(REFERENCE, length) / result.seconds(name, length)
            for length in result.lengths
        ]
        axis.bar(places, ratios, 0.92 * width, color=_color(name, names))
    axis.axhline(1, color=INK, linewidth=1)
    axis.grid(visible=False, axis="x")
    axis.set_xticks(range(len(result.lengths)), [f"{length:g}" for length in result.lengths])
    axis.set(title="Times as fast as FunASR", xlabel="audio, s")


def _color(name: str, names: Sequence[str]) -> str:
    if name == REFERENCE:
        return MUTED
    if name == "server":
        return ACCENT
    return SERIES[names.index(name) % len(SERIES)]


def streams(result: Streams, directory: Path) -> str:
    """Delay percentiles of frames against the number of streams, a panel a model.

    A model with a single step makes no line: it has a panel only where no other has.
    """
    names = list(dict.fromkeys(step.model for step in result.steps))
    lines = [
        name for name in names if len({s.streams for s in result.steps if s.model == name}) > 1
    ]
    names = lines or names
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(2.2 + 4.2 * len(names), 4))
        panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        for axis, name in zip(panels, names, strict=True):
            axis.axhline(LIMIT_SECONDS, color=INK, linewidth=1, zorder=1)
            for incremental, color in ((True, ACCENT), (False, SERIES[0])):
                _delays(axis, result, name, incremental, color)
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:,g}")
            axis.minorticks_off()
            axis.set(title=name, xlabel="streams at once")
        panels[0].set_ylim(bottom=0)
        panels[0].set_ylabel("delay of a frame, s")
        # Handles of their own: no panel is sure to have all of them.
        figure.legend(handles=_delay_legend(), loc="outside right center", fontsize=9)
        figure.savefig(directory / "streams.png")
    return "streams.png"


_LEVELS: tuple[tuple[str, Literal[":", "--", "-"], float], ...] = (
    ("p50", ":", 1.2),
    ("p95", "--", 1.2),
    ("p99", "-", 2.0),
)


def _delays(axis: Axes, result: Streams, model: str, incremental: bool, color: str) -> None:
    """One line a percentile; the last one with a marker a step, hollow where it does not hold."""
    steps = result.of(model, incremental)
    numbers = [step.streams for step in steps]
    for level, style, width in _LEVELS:
        heights = [getattr(step.delay, level) for step in steps]
        axis.plot(numbers, heights, style, color=color, linewidth=width)
    for step in steps:
        face = color if step.holds else "white"
        axis.plot(step.streams, step.delay.p99, "o", color=color, markerfacecolor=face)


def _delay_legend() -> list[Line2D]:
    colors = [("in steps", ACCENT), ("in windows", SERIES[0])]
    marker: dict[str, Any] = {"color": INK, "marker": "o", "linestyle": ""}
    return [
        *(Line2D([], [], color=color, linewidth=3, label=name) for name, color in colors),
        *(
            Line2D([], [], color=INK, linestyle=style, linewidth=width, label=level)
            for level, style, width in reversed(_LEVELS)
        ),
        Line2D([], [], label="holds", **marker),
        Line2D([], [], label="does not hold", markerfacecolor="white", **marker),
    ]
