"""A report as one HTML file that asks nothing of any network.

Nothing in a table is trusted: what it says is escaped, and by the page's own policy no script and
no style counts but those that its hashes name.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from emotion2vec_client.command.colors import color_of
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from emotion2vec_archive.report.content import Content
from emotion2vec_archive.report.words import clock, long_span, percent, span

GENERATOR = "emotion2vec report"
"""What a page says that it was made by."""
_HERE = Path(__file__).parent
_LEAST_WIDTH = 0.5
"""Thousandths of a strip below which a label is not drawn."""


def render(content: Content) -> str:
    """The page's text."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": clock,
        "long_span": long_span,
        "percent": percent,
        "side_by_side": _side_by_side,
        "span": span,
        "spoken": _spoken,
    }
    style = _read("page.css") + _colors(content.labels)
    script = _read("page.js")
    return environment.get_template("page.html").render(
        report=content,
        generator=GENERATOR,
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704 - ours, and colours
        script=Markup(script),  # noqa: S704 - ours
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _colors(labels: Sequence[str]) -> str:
    """A class for each label's colour; where one is chosen, the others step back."""
    rules = (
        f".l{index} {{ --c: {color_of(label, index)}; }}\n"
        f'.recordings[data-label="{index}"] .stretch:not(.l{index}) {{ opacity: 0.3; }}\n'
        for index, label in enumerate(labels)
    )
    return "".join(rules)


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _side_by_side(shares: Sequence[float]) -> Iterator[tuple[float, float, int, float]]:
    """Left edge and width in thousandths, label and share of each part of a strip."""
    left = 0.0
    for label, share in enumerate(shares):
        width = 1000 * share
        if width >= _LEAST_WIDTH:
            yield round(left, 2), round(width, 2), label, share
        left += width


def _spoken(shares: Sequence[float], labels: Sequence[str]) -> str:
    """A strip's content for those who can't see it, the largest first."""
    order = sorted(range(len(shares)), key=lambda label: -shares[label])
    named = [f"{labels[label]} {percent(shares[label])}" for label in order if shares[label] > 0]
    return ", ".join(named) or "nothing"
