"""What the command shows of an export: a bar on a terminal, else a line a step."""

from __future__ import annotations

from typing import Self

from emotion2vec_runtime.bundle import Parity
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from emotion2vec_export.requirements import Requirements


class StepBar:
    """Steps, warnings on stderr, and each form's parity on stdout. Used as a context manager."""

    def __init__(self, stderr: Console, *, verbose: bool) -> None:
        """`verbose`: whether every clip's parity is shown."""
        self._stderr, self._verbose = stderr, verbose
        self._bar = Progress(
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, visible=False)
        self._steps = 0
        self._step = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, steps: int, needed: Requirements) -> None:
        self._steps = steps
        self._bar.update(self._task, total=steps)
        self._print(f"this takes up to {needed}")

    def step(self, what: str) -> None:
        self._bar.update(self._task, completed=self._step, description=what, visible=True)
        self._step += 1
        if not self._stderr.is_terminal:
            self._print(f"{self._step}/{self._steps} {what}")

    def detail(self, what: str) -> None:
        self._bar.update(self._task, description=what)

    def measured(self, precision: str, parity: Parity) -> None:
        from emotion2vec_export.parity import parity_line, parity_table

        console = Console()
        if self._verbose:
            console.print(parity_table(precision, parity))
        console.print(parity_line(precision, parity), soft_wrap=True)

    def unmeasured(self, precision: str, why: str) -> None:
        self._print(
            f"warning: {precision} was not compared with FunASR: {why}. The server takes it only "
            "when told --provider tensorrt."
        )

    def kept(self, what: str) -> None:
        self._print(f"keeping {what}, which the bundle holds already")

    def _print(self, text: str) -> None:
        self._stderr.print(text, markup=False, highlight=False, soft_wrap=True)
