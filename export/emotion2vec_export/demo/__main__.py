"""`python -m emotion2vec_export.demo`: synthesise, train, evaluate, write."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from emotion2vec_export.demo.batches import BatchMaker
from emotion2vec_export.demo.corpus import LABELS, Clip, Split, held_out, render, training_clips
from emotion2vec_export.demo.effects import SAMPLE_RATE, scaled
from emotion2vec_export.demo.evaluation import evaluate
from emotion2vec_export.demo.recipe import Plan, demo_options
from emotion2vec_export.demo.recordings import write_flac, write_recordings
from emotion2vec_export.demo.report import Run, write_report
from emotion2vec_export.demo.synthesis import SynthesisError, is_available
from emotion2vec_export.demo.training import build_model, frame_logits, train
from emotion2vec_export.synthetic import write_checkpoint

_SAVE_EVERY = 100
_EVALUATED = 60
"""Held-out clips a class."""
_KEPT = 5
_KEPT_SECONDS = 2.2
"""Of these, how many are written out for tests that have no espeak-ng, and how long at most."""
_SAMPLE_SECONDS = 2.2
"""About the length of the samples for listeners."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written; 1 espeak-ng is missing or failed; 2 usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if not is_available():
        sys.stderr.write("error: espeak-ng is not installed; install the package espeak-ng\n")
        return 1
    try:
        plan = Plan(seed=options.seed, steps=options.steps, blocks=options.blocks)
        make_demo(options.output, plan, options.cache)
    except SynthesisError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def make_demo(output: Path, plan: Plan, cache: Path) -> None:
    """Writes checkpoint/, report.json, REPORT.md, samples/ and heldout/ into `output`."""
    started = time.perf_counter()
    clips = training_clips(plan.clips_per_class, plan.seed, cache)
    synthesised = time.perf_counter()
    model, options = build_model(plan), demo_options(plan.blocks)
    ramp = max(1, round(plan.ramp * plan.steps))
    maker = BatchMaker(clips, plan.seed, plan.batch_seconds, ramp)
    losses = []
    for progress in train(model, maker, plan):
        losses.append(progress.loss)
        if progress.step % _SAVE_EVERY == _SAVE_EVERY - 1 or progress.step == plan.steps - 1:
            write_checkpoint(output / "checkpoint", options, model.state_dict())
    trained = time.perf_counter()
    run = Run(
        plan=plan,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        synthesis_seconds=synthesised - started,
        training_seconds=trained - synthesised,
        final_loss=float(np.mean(losses[-50:])),
        evaluation=evaluate(partial(frame_logits, model), held_out(_EVALUATED, plan.seed)),
    )
    write_report(run, output)
    write_recordings(_short_clips(plan.seed), output / "heldout")
    _write_samples(output / "samples", plan.seed)


def _short_clips(seed: int) -> Iterator[Clip]:
    """The first short clips of each class, at a modest level: FLAC files stay small."""
    longest = _KEPT_SECONDS * SAMPLE_RATE
    short = [clip for clip in held_out(_EVALUATED, seed) if clip.samples.size <= longest]
    for label in LABELS:
        for clip in [clip for clip in short if clip.label == label][:_KEPT]:
            yield Clip(scaled(clip.samples, 0.25), label)


def _write_samples(directory: Path, seed: int) -> None:
    """One clean held-out clip a class."""
    directory.mkdir(parents=True, exist_ok=True)
    for label in LABELS:
        write_flac(directory / f"{label}.flac", _sample(label, seed))


def _sample(label: str, seed: int) -> Clip:
    """The clip nearest to the wanted length among a few that the evaluation does not use."""
    clips = (render(Split.HELD_OUT, label, _EVALUATED + index, seed) for index in range(12))
    clip = min(clips, key=lambda clip: abs(clip.samples.size / SAMPLE_RATE - _SAMPLE_SECONDS))
    return Clip(scaled(clip.samples, 0.5), label)


def _blocks(text: str) -> int:
    if (blocks := int(text)) < Plan().blocks:
        raise argparse.ArgumentTypeError(f"the demo model has {Plan().blocks} blocks or more")
    return blocks


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emotion2vec_export.demo",
        description="Make the demo model: synthesise expressive speech, train on it, evaluate.",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=Plan().seed)
    parser.add_argument("--steps", type=int, default=Plan().steps, help="optimiser steps")
    parser.add_argument("--blocks", type=_blocks, default=Plan().blocks, help="of attention")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "emotion2vec-demo",
        metavar="DIR",
        help="where synthesised speech is kept between runs",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
