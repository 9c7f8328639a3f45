"""How close a stream's frames come to the offline result, for each window, hop and lookahead.

    python -m benchmarks.fidelity_streaming BUNDLE [--cost BUNDLE]

Recordings of about 25 s are put together from the repository's held-out clips, in shuffled order
and with pauses of faint noise. Offline: the whole recording in one run of the model. Streamed: the
windows that a stream would send. A frame's difference is the largest of its classes' differences in
probability. `--cost` times windows of another bundle too, such as one of the real size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from emotion2vec_server.backends.base import Backend, Float32
from emotion2vec_server.backends.select import load_backend
from emotion2vec_server.bundle import Bundle, Manifest, load_bundle
from emotion2vec_server.emotion import Classes
from emotion2vec_server.windows import Framing, Window, Windower, framing_of

from benchmarks.speech import ROOT, SAMPLE_RATE

WINDOWS = (1.0, 2.0, 3.0, 4.0, 6.0)
LOOKAHEADS = (0.2, 0.4, 0.8, 1.2)
HOPS = (0.25, 0.5, 1.0)
LONGEST = 30 * SAMPLE_RATE
TRACK_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Track:
    """A recording float32 [S], and its offline probabilities [T, C]."""

    samples: Float32
    spoken: np.ndarray
    """[T]: whether a frame lies in a clip, not in a pause."""
    offline: Float32


@dataclass(frozen=True, slots=True)
class Fidelity:
    mean: float
    p99: float
    agreement: float
    pauses: float
    windows_a_second: float


class Model:
    """A bundle's graph on this CPU, one clip at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self.manifest: Manifest = bundle.manifest
        self._classes = Classes(bundle.manifest.labels)
        self._backend: Backend = load_backend(bundle, precision="fp32", provider="cpu", threads=1)

    def probabilities(self, samples: Float32) -> Float32:
        """[T, C] of one clip."""
        outputs = self._backend.run(samples[None], np.array([len(samples)], dtype=np.int64))
        if outputs.frame_logits is None:
            raise SystemExit("this model has no classifier")
        return self._classes.probabilities(outputs.frame_logits[0])

    def seconds(self, samples: int) -> float:
        """Of one run on one thread: the median of three."""
        audio = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            self.probabilities(audio)
            times.append(time.perf_counter() - began)
        return sorted(times)[1]


def make_tracks(model: Model) -> list[Track]:
    """The held-out clips, shuffled, with pauses of 0.3 to 4 s between them."""
    rng = np.random.default_rng(11)
    paths = sorted((ROOT / "tests" / "data" / "heldout").glob("*.flac"))
    rng.shuffle(paths)
    tracks: list[Track] = []
    pieces: list[tuple[Float32, bool]] = []
    for path in paths:
        clip, _ = soundfile.read(path, dtype="float32")
        pause = 10 ** (-65 / 20) * rng.standard_normal(
            int(rng.choice([0.3, 0.6, 1.2, 4.0]) * SAMPLE_RATE)
        )
        pieces += [(clip, True), (pause.astype(np.float32), False)]
        if sum(len(piece) for piece, _ in pieces) > TRACK_SECONDS * SAMPLE_RATE:
            tracks.append(_track(model, pieces))
            pieces = []
    return tracks


def _track(model: Model, pieces: Sequence[tuple[Float32, bool]]) -> Track:
    samples = np.concatenate([piece for piece, _ in pieces])[: LONGEST - 1]
    spoken = np.concatenate([np.full(len(piece), is_clip) for piece, is_clip in pieces])
    offline = model.probabilities(samples)
    middles = np.arange(len(offline)) * model.manifest.frame_hop + model.manifest.frame_field // 2
    return Track(samples, spoken[middles], offline)


def stream(
    model: Model, samples: Float32, framing: Framing, *, reference: bool
) -> Iterator[tuple[Window, Float32]]:
    """Windows and the probabilities [T, C] of their frames."""
    windower = Windower(framing)
    windows = windower.push(samples)
    last = windower.finish()
    for window in [*windows, *([last] if last else [])]:
        audio = window.samples
        if reference:
            variance = float(samples[: window.end_sample].var(dtype=np.float64))
            audio = with_reference_tail(audio, variance, framing.frame_hop)
        yield window, model.probabilities(audio)


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
    model: Model, tracks: Sequence[Track], framing: Framing, *, reference: bool
) -> Fidelity:
    differences, spoken, agrees = [], [], []
    windows = 0
    for track in tracks:
        streamed = np.empty_like(track.offline)
        for window, scores in stream(model, track.samples, framing, reference=reference):
            part = slice(
                window.final_begin - window.first_frame, window.final_end - window.first_frame
            )
            streamed[window.final_begin : window.final_end] = scores[part]
            windows += 1
        differences.append(np.abs(streamed - track.offline).max(axis=1))
        agrees.append(streamed.argmax(axis=1) == track.offline.argmax(axis=1))
        spoken.append(track.spoken)
    difference, agree, speech = map(np.concatenate, (differences, agrees, spoken))
    return Fidelity(
        mean=float(difference[speech].mean()),
        p99=float(np.quantile(difference[speech], 0.99)),
        agreement=float(agree[speech].mean()),
        pauses=float(difference[~speech].mean()),
        windows_a_second=windows / (sum(len(track.samples) for track in tracks) / SAMPLE_RATE),
    )


def report(model: Model, cost: Model | None) -> None:
    tracks = make_tracks(model)
    seconds = sum(len(track.samples) for track in tracks) / SAMPLE_RATE
    print(f"{len(tracks)} recordings, {seconds:.0f} s; model {model.manifest.name}\n")
    costs = (
        {window: cost.seconds(round(window * SAMPLE_RATE)) for window in WINDOWS} if cost else {}
    )
    print("| window | lookahead | hop | mean | 99% | label | pauses | delay, mean | compute |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for window in WINDOWS:
        for lookahead in LOOKAHEADS:
            for hop in HOPS:
                if hop + lookahead > window:
                    continue
                framing = framing_of(
                    model.manifest, LONGEST, window=window, hop=hop, lookahead=lookahead
                )
                found = measure(model, tracks, framing, reference=True)
                compute = f"{costs[window] / hop:.2f} s" if costs else ""
                print(
                    f"| {window:g} s | {lookahead:g} s | {hop:g} s | {found.mean:.3f} "
                    f"| {found.p99:.2f} | {found.agreement:.1%} | {found.pauses:.3f} "
                    f"| {lookahead + hop / 2:.2f} s | {compute} |",
                    flush=True,
                )
    print("\n| window | reference tail | mean | 99% | label | pauses |")
    print("| --- | --- | --- | --- | --- | --- |")
    for window in WINDOWS:
        framing = framing_of(model.manifest, LONGEST, window=window, hop=0.5, lookahead=0.4)
        for reference in (False, True):
            found = measure(model, tracks, framing, reference=reference)
            print(
                f"| {window:g} s | {'yes' if reference else 'no'} | {found.mean:.3f} "
                f"| {found.p99:.2f} | {found.agreement:.1%} | {found.pauses:.3f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cost", type=Path, help="bundle whose windows are timed")
    arguments = parser.parse_args()
    cost = Model(load_bundle(arguments.cost)) if arguments.cost else None
    report(Model(load_bundle(arguments.bundle)), cost)


if __name__ == "__main__":
    main()
