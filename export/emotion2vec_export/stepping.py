"""Steps over whole clips, so that a step graph is compared as every other graph is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from emotion2vec_runtime.arrays import Float32, Int64
from emotion2vec_runtime.backends.base import Outputs, StepBackend, StepInputs, StepOutputs
from emotion2vec_runtime.bundle import ParityRow
from emotion2vec_runtime.recognition.live import (
    State,
    Step,
    StepOutput,
    StepRunner,
)

from emotion2vec_export.config import ModelConfig
from emotion2vec_export.model import Emotion2vec
from emotion2vec_export.parity import compare, softmax, speech_like
from emotion2vec_export.reference import Result
from emotion2vec_export.step import Step as StepModule
from emotion2vec_export.step import positional_context

_CLIPS = (70037, 48000, 24000)
"""Samples: of several steps each, of which the last ends anywhere."""
# As a stream's by default, but for a past that has to be cut within the clips.
_HOP, _LOOKAHEAD, _LEFT = 25, 20, 50


class TorchSteps:
    """The module as a `StepBackend`."""

    def __init__(self, step: StepModule) -> None:
        self._step = step.eval()

    @property
    def blocks(self) -> int:
        return len(self._step.model.blocks)

    @property
    def context(self) -> int:
        return positional_context(self._step.model.config)

    def run(self, inputs: StepInputs) -> StepOutputs:
        """See `StepBackend.run`."""
        with torch.no_grad():
            outputs = self._step(*map(torch.from_numpy, inputs))
        return StepOutputs(*(output.numpy() for output in outputs))


class Stepped:
    """A model of whole clips that runs them in steps; several clips go side by side."""

    provider = "cpu"
    cards = 1

    def __init__(
        self,
        backend: StepBackend,
        config: ModelConfig,
        precision: str,
        *,
        hop: int = 0,
        lookahead: int = 0,
        left: int = 1,
    ) -> None:
        """Lengths are in frames.

        Args:
            backend: runs the steps.
            config: of the model.
            precision: of `backend`.
            hop: new frames a step; 0 makes one step of a whole clip.
            lookahead: frames that must follow one before it is final.
            left: final frames whose keys and values are kept.
        """
        self.precision = precision
        self.audio, self.hop, self.lookahead = config.audio, hop, lookahead
        self._runner = StepRunner(
            backend,
            frame_hop=self.audio.frame_hop,
            frame_field=self.audio.frame_field,
            embedding_size=config.embed_dim,
            normalize=config.normalize,
        )
        self.shape = self._runner.shape(left)

    def run(self, waveforms: Float32, lengths: Int64, *, frame_embeddings: bool = False) -> Outputs:  # noqa: ARG002
        """See `Backend.run`."""
        clips = [_Clip(row[:n], self) for row, n in zip(waveforms, lengths.tolist(), strict=True)]
        while running := [clip for clip in clips if not clip.is_done]:
            outputs = self._runner([clip.step() for clip in running])
            for clip, output in zip(running, outputs, strict=True):
                clip.take(output)
        frames = np.array([clip.frames for clip in clips], np.int64)
        logits = _padded([clip.logits for clip in clips])
        embeddings = _padded([clip.embeddings for clip in clips])
        return Outputs(
            logits=logits.sum(axis=1) / frames[:, None],
            embedding=embeddings.sum(axis=1) / frames[:, None],
            frame_logits=logits,
            frame_embeddings=embeddings,
            frame_lengths=frames,
        )


class StepCheck:
    """Compares steps that build on each other with the same ones in torch, on clips side by side.

    How far they are from the whole clip is no error: `benchmarks.fidelity_streaming` measures it.
    """

    def __init__(self, model: Emotion2vec) -> None:
        """Runs them in torch; the model is not kept."""
        self._config = model.config
        clips = [speech_like(samples, samples) for samples in _CLIPS]
        self._lengths = np.array(_CLIPS, np.int64)
        self._waveforms = _padded([clip[:, None] for clip in clips])[:, :, 0]
        expected = self._run(TorchSteps(StepModule(model)), "fp32")
        assert expected.logits is not None  # noqa: S101 - see `Stepped.run`
        assert expected.frame_embeddings is not None  # noqa: S101
        self._expected = [
            Result(softmax(expected.logits[row]), expected.frame_embeddings[row, :frames])
            for row, frames in enumerate(expected.frame_lengths)
        ]

    def rows(self, backend: StepBackend, precision: str) -> list[ParityRow]:
        """One of each clip."""
        outputs = self._run(backend, precision)
        return [
            compare("speech, in steps", samples / 16000, self._expected[row], outputs, row)
            for row, samples in enumerate(_CLIPS)
        ]

    def _run(self, backend: StepBackend, precision: str) -> Outputs:
        stepped = Stepped(
            backend, self._config, precision, hop=_HOP, lookahead=_LOOKAHEAD, left=_LEFT
        )
        return stepped.run(self._waveforms, self._lengths)


class _Clip:
    """One clip [S], on its way through the steps."""

    def __init__(self, samples: Float32, model: Stepped) -> None:
        audio = model.audio
        self._samples, self._model, self._state = samples, model, State(model.shape)
        self.frames = (len(samples) - audio.frame_field) // audio.frame_hop + 1
        self._heard, self._ran, self._final = 0, 0, 0
        self._logits: list[Float32] = []
        self._embeddings: list[Float32] = []

    @property
    def is_done(self) -> bool:
        return self._final == self.frames

    @property
    def logits(self) -> Float32:
        """[T, K]"""
        return np.concatenate(self._logits)

    @property
    def embeddings(self) -> Float32:
        """[T, D]"""
        return np.concatenate(self._embeddings)

    def step(self) -> Step:
        hop, audio = self._model.hop or self.frames, self._model.audio
        first, self._ran = self._ran, min(self.frames, self._ran + hop)
        end = (self._ran - 1) * audio.frame_hop + audio.frame_field
        # The last step hears the rest of the clip, too short for another frame.
        heard = len(self._samples) if self._ran == self.frames else end
        self._state.hear(self._samples[self._heard : heard])
        self._heard = heard
        return self._state.step(self._samples[first * audio.frame_hop : end])

    def take(self, output: StepOutput) -> None:
        ends = self._ran == self.frames
        last = self._ran if ends else max(self._final, self._ran - self._model.lookahead)
        count, self._final = last - self._final, last
        self._logits.append(output.frame_logits[:count])
        self._embeddings.append(output.frame_embeddings[:count])
        self._state.advance(output, count)


def _padded(clips: Sequence[Float32]) -> Float32:
    """[T, N] each to [B, T, N]."""
    batch = np.zeros((len(clips), max(map(len, clips)), clips[0].shape[1]), np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return batch
