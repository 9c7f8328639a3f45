"""How close a stream's frames come to the offline result, for each window, hop and lookahead.

    python -m benchmarks.fidelity_streaming BUNDLE [--cost BUNDLE]

Recordings are put together from the repository's held-out clips, with pauses of faint noise: steady
ones, of one emotion each, and changing ones, of clips in shuffled order. Offline: the whole
recording in one run of the model. Streamed: the windows, or the steps, that a stream would run. A
frame's difference is the largest of its classes' differences in probability. `--cost` times the
windows of another bundle, such as one of the real size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import soundfile
from emotion2vec_runtime.arrays import Float32, Int64
from emotion2vec_runtime.backends.base import Backend
from emotion2vec_runtime.backends.select import load_backend
from emotion2vec_runtime.bundle import Bundle, Manifest, load_bundle
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.live import State, load_steps
from emotion2vec_server.streaming.windows import Framing, Window, Windower, framing_of

from benchmarks.speech import ROOT, SAMPLE_RATE

WINDOWS = (1.0, 2.0, 3.0, 4.0, 6.0)
LOOKAHEADS = (0.2, 0.4, 0.8, 1.2)
HOPS = (0.25, 0.5, 1.0)
LONGEST = 30 * SAMPLE_RATE
HELD_OUT = ROOT / "tests" / "data" / "heldout"


@dataclass(frozen=True, slots=True)
class Track:
    """A recording float32 [S], and its offline probabilities [T, C]."""

    samples: Float32
    label: Int64
    """[T]: the class of the clip in which a frame lies, -1 in a pause."""
    offline: Float32


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Over the frames of speech, except `pauses`, which is the mean difference in the pauses.

    `agreement`: how often the leading label is the offline one; `correct`, the clip's own;
    `correct_offline`: how often the offline label is the clip's own.
    """

    mean: float
    p99: float
    largest: float
    agreement: float
    pauses: float
    correct: float
    correct_offline: float


class Model:
    """A bundle's graph on this CPU, one clip at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self.manifest: Manifest = bundle.manifest
        self._classes = Classes(bundle.manifest.labels)
        self._backend: Backend = load_backend(bundle, precision="fp32", provider="cpu", threads=1)
        self.steps = load_steps(bundle, self._backend, threads=1)

    def probabilities(self, samples: Float32) -> Float32:
        """[T, C] of one clip."""
        outputs = self._backend.run(samples[None], np.array([len(samples)], dtype=np.int64))
        if outputs.frame_logits is None:
            raise SystemExit("this model has no classifier")
        return self._classes.probabilities(outputs.frame_logits[0])

    def streamed_in_steps(self, samples: Float32, framing: Framing) -> Float32:
        """[T, C] of one clip, as a live stream has them."""
        if self.steps is None:
            raise SystemExit("this bundle has no steps: export it again")
        state = State(self.steps.shape(framing.window))
        # Steps end where the windows of `stream` do: the two are compared.
        windower = Windower(framing, early=True)
        heard, logits = 0, []
        for window in filter(None, [*windower.push(samples), windower.finish()]):
            state.hear(samples[heard : window.end_sample])
            heard = window.end_sample
            (output,) = self.steps([state.step(window.samples)])
            final = window.final_end - window.final_begin
            logits.append(output.frame_logits[:final])
            state.advance(output, final)
        return self._classes.probabilities(np.concatenate(logits))

    def cpu_seconds(self, samples: int) -> float:
        """CPU time of one run on one thread: the median of three."""
        audio = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
        times = []
        for _ in range(3):
            began = time.process_time()
            self.probabilities(audio)
            times.append(time.process_time() - began)
        return sorted(times)[1]


def steady_tracks(model: Model) -> list[Track]:
    """One recording of each class: all its held-out clips."""
    paths = sorted(HELD_OUT.glob("*.flac"))
    by_label = groupby(paths, key=lambda path: path.stem.split("-")[0])
    return [make_track(model, list(group)) for _, group in by_label]


def changing_tracks(model: Model) -> list[Track]:
    """Recordings of about 20 s, of clips of any class."""
    paths = sorted(HELD_OUT.glob("*.flac"))
    np.random.default_rng(11).shuffle(paths)
    return [make_track(model, paths[i : i + 6]) for i in range(0, len(paths), 6)]


def make_track(model: Model, paths: Sequence[Path]) -> Track:
    """The clips of `paths`, with a pause of 0.3 to 4 s after each."""
    rng = np.random.default_rng(len(paths[0].stem))
    names = [label.name for label in model.manifest.labels]
    pieces, labels = [], []
    for path in paths:
        clip, _ = soundfile.read(path, dtype="float32")
        pause = int(rng.choice([0.3, 0.6, 1.2, 4.0]) * SAMPLE_RATE)
        pieces += [clip, 10 ** (-65 / 20) * rng.standard_normal(pause)]
        labels += [names.index(path.stem.split("-")[0])] * len(clip) + [-1] * pause
    samples = np.concatenate(pieces).astype(np.float32)[:LONGEST]
    offline = model.probabilities(samples)
    middles = np.arange(len(offline)) * model.manifest.frame_hop + model.manifest.frame_field // 2
    return Track(samples, np.array(labels, dtype=np.int64)[middles], offline)


Known = dict[tuple[int, int, int, bool], Float32]
"""Probabilities of windows that were run already: by track, first and last frame, and tail."""


def stream(
    model: Model, tracks: Sequence[Track], framing: Framing, known: Known, *, reference: bool
) -> Iterator[Float32]:
    """For each track, the streamed probabilities [T, C]."""
    for index, track in enumerate(tracks):
        streamed = np.empty_like(track.offline)
        # Early windows lie where those of any lookahead do, so they are run once for all.
        windower = Windower(framing, early=True)
        windows = [*windower.push(track.samples), windower.finish()]
        for window in filter(None, windows):
            key = (index, window.first_frame, window.frame_end, reference)
            if key not in known:
                known[key] = _scores(model, track, window, framing, reference=reference)
            begin, end = window.final_begin, window.final_end
            first = window.first_frame
            streamed[begin:end] = known[key][begin - first : end - first]
        yield streamed


def _scores(
    model: Model, track: Track, window: Window, framing: Framing, *, reference: bool
) -> Float32:
    if not reference:
        return model.probabilities(window.samples)
    variance = float(track.samples[: window.end_sample].var(dtype=np.float64))
    return model.probabilities(with_reference_tail(window.samples, variance, framing.frame_hop))


def with_reference_tail(window: Float32, variance: float, frame_hop: int) -> Float32:
    """The window [n] made to be normalised by the utterance's variance instead of its own.

    The graph normalises its input over itself, trailing samples included that are too few for
    another frame. A tail of them, alternating about the mean, sets the variance of the whole and
    enters no frame. It can only raise the variance: that is the case of a quiet window.
    """
    tail = (frame_hop - 1) // 2 * 2
    mean, own = window.mean(dtype=np.float64), window.var(dtype=np.float64)
    needed = (len(window) + tail) * max(variance, own) - len(window) * own
    swing = np.tile([1.0, -1.0], tail // 2) * np.sqrt(needed / tail)
    return np.concatenate((window, mean + swing)).astype(np.float32)


def measure(
    model: Model,
    tracks: Sequence[Track],
    framing: Framing,
    known: Known,
    *,
    reference: bool = False,
) -> Fidelity:
    """Compares the streams of all tracks with their offline results."""
    parts = (
        [model.streamed_in_steps(track.samples, framing) for track in tracks]
        if framing.incremental
        else list(stream(model, tracks, framing, known, reference=reference))
    )
    streamed = np.concatenate(parts)
    offline = np.concatenate([track.offline for track in tracks])
    labels = np.concatenate([track.label for track in tracks])
    speech = labels >= 0
    difference = np.abs(streamed - offline).max(axis=1)
    agrees = streamed.argmax(axis=1) == offline.argmax(axis=1)
    return Fidelity(
        mean=float(difference[speech].mean()),
        p99=float(np.quantile(difference[speech], 0.99)),
        largest=float(difference[speech].max()),
        agreement=float(agrees[speech].mean()),
        pauses=float(difference[~speech].mean()),
        correct=float((streamed.argmax(axis=1) == labels)[speech].mean()),
        correct_offline=float((offline.argmax(axis=1) == labels)[speech].mean()),
    )


class Study:
    """Some recordings, and what was found on them."""

    def __init__(self, model: Model, tracks: Sequence[Track]) -> None:
        self._model = model
        self._tracks = tracks
        self._known: Known = {}

    def __str__(self) -> str:
        seconds = sum(len(track.samples) for track in self._tracks) / SAMPLE_RATE
        speech = np.concatenate([track.label for track in self._tracks]) >= 0
        return f"{len(self._tracks)} recordings, {seconds:.0f} s, {speech.mean():.0%} speech"

    def found(
        self,
        window: float,
        hop: float,
        lookahead: float,
        *,
        reference: bool = False,
        incremental: bool = False,
    ) -> Fidelity:
        """How streams of these settings, in seconds, do."""
        framing = framing_of(
            self._model.manifest,
            LONGEST,
            window=window,
            hop=hop,
            lookahead=lookahead,
            incremental=incremental,
        )
        return measure(self._model, self._tracks, framing, self._known, reference=reference)


MODES = ((False, 3.0, 0.4), (True, 3.0, 0.4), (True, 6.0, 0.4), (True, 3.0, 0.8), (True, 6.0, 0.8))
"""Whether in steps; seconds of the window, or of keys; lookahead."""


def modes(steady: Study, changing: Study) -> None:
    """Prints windows and steps side by side."""
    print("\nin windows and in steps; hop 0.5 s\n")
    table(
        *("", "runs a frame"),
        *("steady: difference", "agreement", "correct", "pauses"),
        *("changing: difference", "agreement", "correct", "pauses"),
    )
    for incremental, window, lookahead in MODES:
        name = f"steps, {window:g} s of keys" if incremental else f"windows of {window:g} s"
        runs = (0.5 + lookahead) / 0.5 if incremental else window / 0.5
        cells = [f"{name}, lookahead {lookahead:g} s", f"{runs:.1f}"]
        for study in (steady, changing):
            one = study.found(window, 0.5, lookahead, incremental=incremental)
            cells += [f"{one.mean:.3f}", f"{one.agreement:.1%}"]
            cells += [f"{one.correct:.1%}", f"{one.pauses:.3f}"]
        row(*cells)


def report(model: Model, cost: Model) -> None:
    """Prints the tables of docs/streaming.md."""
    steady, changing = Study(model, steady_tracks(model)), Study(model, changing_tracks(model))
    found = steady.found
    print(f"{model.manifest.name}: {steady}; {changing}")

    modes(steady, changing)
    print("\nmean difference and label agreement; the last three columns at the middle hop\n")
    table("window", "lookahead", *(f"hop {hop:g} s" for hop in HOPS), "99%", "largest", "pauses")
    for window in WINDOWS:
        for lookahead in LOOKAHEADS:
            cells = []
            middle = None
            for hop in HOPS:
                if hop + lookahead > window:
                    cells.append("")
                    continue
                fidelity = found(window, hop, lookahead)
                cells.append(f"{fidelity.mean:.3f}, {fidelity.agreement:.1%}")
                middle = fidelity if hop == HOPS[1] else middle
            if middle is not None:
                cells += [f"{middle.p99:.2f}", f"{middle.largest:.2f}", f"{middle.pauses:.3f}"]
                row(f"{window:g} s", f"{lookahead:g} s", *cells)
    print(f"\nCPU seconds a second of speech, {cost.manifest.name}, one thread\n")
    table("window", *(f"hop {hop:g} s" for hop in HOPS))
    for window in WINDOWS:
        once = cost.cpu_seconds(round(window * SAMPLE_RATE))
        row(f"{window:g} s", *(f"{once / hop:.2f}" for hop in HOPS))
    print("\nsteady and changing recordings; hop 0.5 s, lookahead 0.4 s\n")
    table("window", *["difference", "label", "correct", "correct offline"] * 2)
    for window in WINDOWS:
        cells = []
        for study in (steady, changing):
            fidelity = study.found(window, 0.5, 0.4)
            cells += [f"{fidelity.mean:.3f}", f"{fidelity.agreement:.1%}"]
            cells += [f"{fidelity.correct:.1%}", f"{fidelity.correct_offline:.1%}"]
        row(f"{window:g} s", *cells)
    print("\nnormalised over the window, and by the utterance so far\n")
    table("window", "mean", "with tail", "pauses", "with tail")
    for window in WINDOWS:
        plain, tail = (found(window, 0.5, 0.4, reference=tail) for tail in (False, True))
        row(
            f"{window:g} s",
            *(f"{value:.4f}" for value in (plain.mean, tail.mean, plain.pauses, tail.pauses)),
        )


def table(*names: str) -> None:
    row(*names)
    row(*["---"] * len(names))


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cost", type=Path, help="bundle whose windows are timed instead")
    arguments = parser.parse_args()
    model = Model(load_bundle(arguments.bundle))
    report(model, Model(load_bundle(arguments.cost)) if arguments.cost else model)


if __name__ == "__main__":
    main()
