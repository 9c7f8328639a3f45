"""A model in this process: audio in, emotions out, no network."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio import (
    SAMPLE_RATE,
    AudioSpec,
    DecodedAudio,
    Encoding,
    Level,
    decode,
)
from emotion2vec_runtime.audio.spec import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from emotion2vec_runtime.audio.voice import find_speech, mostly_silent
from emotion2vec_runtime.backends.base import Backend
from emotion2vec_runtime.backends.providers import provider_named
from emotion2vec_runtime.backends.select import PrecisionChoice, load_backend
from emotion2vec_runtime.bundle import Manifest, load_bundle
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_runtime.recognition import long_audio
from emotion2vec_runtime.recognition.emotion import Classes
from emotion2vec_runtime.recognition.recognition import Recognition, require_a_frame
from emotion2vec_runtime.recognition.result import Options, Result, interpret, of_channels
from emotion2vec_runtime.recognition.runner import MAX_BATCH_SECONDS, Clip, Runner
from emotion2vec_runtime.recognition.warnings import (
    RecognitionWarning,
    about_level,
    about_source,
)

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
        per_channel: bool = False,
        speech_only: bool = False,
    ) -> Result:
        """Recognises one recording of any length.

        Args:
            audio: see AudioSource. A file's bytes say themselves what they are.
            sample_rate: Hz, of an array; 16 kHz if None.
            frame_embeddings: whether to keep one embedding a frame; they are large.
            allowed_labels: score these labels only; all of the model's if empty.
            per_channel: recognise each channel by itself: the results are `Result.channels`.
            speech_only: pool over the frames with speech, where there are any.

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
            separate=per_channel,
            speech_only=speech_only,
        )
        heard = _decode(audio, sample_rate, separate=per_channel)
        about = list(about_source(heard, is_mixed=not per_channel))
        if heard.channels is None:
            result = self._result(heard.samples, options, about)
        else:
            results = [self._result(channel, options, []) for channel in heard.channels]
            result = of_channels(results, heard.seconds, about)
        return replace(result, source_rate=heard.source_rate, source_channels=heard.source_channels)

    def _result(
        self, samples: Samples, options: Options, warnings: list[RecognitionWarning]
    ) -> Result:
        return interpret(
            self._run(samples, options),
            len(samples) / self.manifest.sample_rate,
            options,
            self.manifest,
            samples=samples,
            warnings=[*warnings, *about_level(Level(samples), mostly_silent(samples))],
        )

    def _run(self, samples: Samples, options: Options) -> Recognition:
        require_a_frame(len(samples), self.manifest)
        cutter = long_audio.Cutter(self.manifest, self._max_window, self._overlap)
        cuts = cutter.cut(len(samples))
        speech = find_speech(samples) if options.speech_only else None
        wants_embeddings = options.frame_embeddings or options.speech_only or len(cuts) > 1
        pool = long_audio.Pool(self.manifest, frame_embeddings=options.frame_embeddings)
        for first in range(0, len(cuts), self._rows):
            batch = cuts[first : first + self._rows]
            clips = [Clip(samples[part.start : part.stop], wants_embeddings) for part in batch]
            for part, output in zip(batch, self._runner(clips), strict=True):
                pool.add(part, output, None if speech is None else speech[part.first : part.last])
        return pool.recognition()


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


def _decode(audio: AudioSource, sample_rate: int | None, *, separate: bool) -> DecodedAudio:
    if isinstance(audio, np.ndarray):
        rate = SAMPLE_RATE if sample_rate is None else sample_rate
        return _decode_array(audio, rate, separate=separate)
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
    return decode(data, AudioSpec(Encoding.DETECT), math.inf, separate=separate)


def _decode_array(samples: NDArray[Any], sample_rate: int, *, separate: bool) -> DecodedAudio:
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
    spec = AudioSpec(encoding, sample_rate, channels)
    return decode(wire, spec, math.inf, separate=separate)
