"""A model in this process: audio in, emotions out, no network."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio import SAMPLE_RATE, AudioSpec, DecodedAudio, Encoding, decode
from emotion2vec_runtime.audio.spec import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from emotion2vec_runtime.backends.base import Backend
from emotion2vec_runtime.backends.providers import provider_named
from emotion2vec_runtime.backends.select import PrecisionChoice, load_backend
from emotion2vec_runtime.bundle import Manifest, load_bundle
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition import long_audio
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.recognition import Recognition, require_a_frame
from emotion2vec_runtime.recognition.result import Options, Result, interpret
from emotion2vec_runtime.recognition.runner import MAX_BATCH_SECONDS, Clip, Runner
from emotion2vec_runtime.recognition.warnings import about_audio

AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any]
"""A path, a file's bytes, or samples [n] or [n, channels]: int16, or floats from -1 to 1."""

DEMO_BUNDLE = Path(__file__).parent.parent / "demo"
"""A small model of synthesised speech, to try things with: it knows nothing of people."""


class Recognizer:
    """One loaded model. It may be called from several threads."""

    def __init__(self, manifest: Manifest, backend: Backend) -> None:
        self.manifest = manifest
        self.classes = Classes(manifest.labels)
        self.provider = backend.provider
        self.precision = backend.precision
        self._runner = Runner(backend)
        self._max_window = round(long_audio.MAX_WINDOW_SECONDS * manifest.sample_rate)
        self._overlap = round(long_audio.OVERLAP_SECONDS * manifest.sample_rate)
        # On a card windows of a long recording share batches; a CPU gains nothing by that.
        is_card = provider_named(backend.provider).memory == "device"
        self._rows = int(MAX_BATCH_SECONDS // long_audio.MAX_WINDOW_SECONDS) if is_card else 1

    def recognize(
        self,
        audio: AudioSource,
        *,
        sample_rate: int | None = None,
        frame_embeddings: bool = False,
        allowed_labels: Sequence[str] = (),
    ) -> Result:
        """Recognises one recording of any length.

        Args:
            audio: see AudioSource. A file's bytes say themselves what they are.
            sample_rate: Hz, of an array; 16 kHz if None.
            frame_embeddings: whether to keep one embedding a frame; they are large.
            allowed_labels: score these labels only; all of the model's if empty.

        Raises:
            InvalidRequestError: the audio can't be decoded or is too short, or a label is unknown.
            OSError: the file can't be read.
            OutOfMemoryError, InferenceError: the model failed.
        """
        if isinstance(allowed_labels, str):
            raise InvalidRequestError("allowed_labels", "give a list of labels, not one string")
        options = Options(
            Classes(self.manifest.labels, allowed_labels) if allowed_labels else self.classes,
            frame_embeddings=frame_embeddings,
            processed_audio=True,
        )
        heard = _decode(audio, sample_rate)
        return interpret(
            self._run(heard.samples, frame_embeddings=frame_embeddings),
            heard.samples,
            options,
            self.manifest,
            warnings=about_audio(heard, heard.level),
        )

    def _run(self, samples: Samples, *, frame_embeddings: bool) -> Recognition:
        require_a_frame(len(samples), self.manifest)
        cuts = long_audio.cut(len(samples), self.manifest, self._max_window, self._overlap)
        if len(cuts) == 1:
            return long_audio.single(self._runner([Clip(samples, frame_embeddings)])[0])
        clips = [Clip(samples[part.start : part.stop], frame_embeddings=True) for part in cuts]
        outputs = [
            output
            for first in range(0, len(clips), self._rows)
            for output in self._runner(clips[first : first + self._rows])
        ]
        return long_audio.join(
            len(samples), cuts, outputs, self.manifest, frame_embeddings=frame_embeddings
        )


def load(
    bundle: str | os.PathLike[str] = DEMO_BUNDLE,
    *,
    precision: PrecisionChoice = "auto",
    provider: str = "auto",
    threads: int = 0,
) -> Recognizer:
    """Loads a bundle that `emotion2vec-export` wrote; the demo model where none is named.

    Args:
        bundle: its directory.
        precision: "fp32", "int8" or "fp16"; "auto" takes the provider's best that passed its
            parity check.
        provider: "cpu", "cuda" or "tensorrt"; "auto" takes the best that is here.
        threads: on the CPU; 0 takes one a core.

    Raises:
        LoadError: the bundle is broken, or does not fit this machine.
    """
    opened = load_bundle(Path(bundle))
    longest = round(long_audio.MAX_WINDOW_SECONDS * opened.manifest.sample_rate)
    backend = load_backend(
        opened, precision=precision, provider=provider, threads=threads, longest=longest
    )
    return Recognizer(opened.manifest, backend)


def _decode(audio: AudioSource, sample_rate: int | None) -> DecodedAudio:
    if isinstance(audio, np.ndarray):
        return _decode_array(audio, SAMPLE_RATE if sample_rate is None else sample_rate)
    if sample_rate is not None:
        raise InvalidRequestError("sample_rate", "a file states its own rate: leave it out")
    if isinstance(audio, str | os.PathLike):
        data = Path(audio).read_bytes()
    elif isinstance(audio, bytes | bytearray | memoryview):
        data = bytes(audio)
    else:
        raise InvalidRequestError(
            "audio", f"audio can't be a {type(audio).__name__}: give a path, bytes or a NumPy array"
        )
    return decode(data, AudioSpec(Encoding.DETECT), math.inf)


def _decode_array(samples: NDArray[Any], sample_rate: int) -> DecodedAudio:
    is_float = np.issubdtype(samples.dtype, np.floating)
    channels = samples.shape[1] if samples.ndim == 2 else 1
    if (
        not (is_float or np.issubdtype(samples.dtype, np.int16))
        or samples.ndim not in (1, 2)
        or not 1 <= channels <= MAX_CHANNELS
    ):
        raise InvalidRequestError(
            "audio",
            f"samples are {samples.dtype} of shape {list(samples.shape)}: give int16, or floats "
            f"from -1 to 1, of shape [n] or [n, channels], up to {MAX_CHANNELS} channels",
        )
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise InvalidRequestError(
            "sample_rate",
            f"a rate of {sample_rate} Hz is not supported: resample it to {MIN_SAMPLE_RATE} to "
            f"{MAX_SAMPLE_RATE} Hz",
        )
    encoding = Encoding.FLOAT32 if is_float else Encoding.LINEAR16
    with np.errstate(over="ignore"):
        wire = samples.astype("<f4" if is_float else "<i2", copy=False).tobytes()
    return decode(wire, AudioSpec(encoding, sample_rate, channels), math.inf)
