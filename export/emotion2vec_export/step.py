"""One step of a live stream: new audio against what is known of the audio before it.

A frame is computed once when it comes, again while it is provisional (too little has been heard
behind it), and never after that: of a final frame each block keeps its key and its value, which
later frames attend to. What a step runs is therefore its new frames and the provisional ones, not
a whole window.

    features      [ known, right-aligned | new, left-aligned ]      C + T frames
                    context | provisional  new
    positional convolutions over all of them; blocks over the last R + T, R = max(provisional)
    keys          [ past, right-aligned | extra tokens | provisional and new ]

The features of a frame depend on its own samples alone (norms per frame in the front end), so they
are computed once. The positional convolutions need the features of `positional_context` frames
before the first frame that is run. Extra tokens are computed anew in each step: they see the past
as every frame does.

Without a past, one step over a whole recording is `Emotion2vec.forward`, exactly.

Shapes: B streams, S samples, T new frames, C known features, P past keys, L blocks, E extra tokens,
Q = R + T frames that are run, D embedding size, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from emotion2vec_export.config import ModelConfig
from emotion2vec_export.model import MASKED, Emotion2vec, KeysValues


class StepOutputs(NamedTuple):
    """Frames are those that were run: a stream's own begin at R - provisional of it."""

    frame_logits: Tensor
    """[B, Q, K]"""
    frame_embeddings: Tensor
    """[B, Q, D]"""
    features: Tensor
    """[B, T, D], of the new frames."""
    keys_values: Tensor
    """[2 L, B, Q, D]: keys and values of each block."""


def positional_context(config: ModelConfig) -> int:
    """Frames on either side that the positional convolutions mix into one."""
    audio = config.audio
    return audio.conv_pos_depth * (audio.conv_pos_kernel // 2)


class Step(nn.Module):
    """`Emotion2vec` as a step. The model's front end must have norms per frame."""

    def __init__(self, model: Emotion2vec) -> None:
        super().__init__()
        if not model.front_end.per_frame_norm:
            raise ValueError("a norm over time makes features depend on the whole recording")
        self.model = model

    def forward(
        self,
        waveform: Tensor,
        lengths: Tensor,
        features: Tensor,
        is_known: Tensor,
        is_provisional: Tensor,
        past: Tensor,
        is_past: Tensor,
    ) -> StepOutputs:
        """Runs one step of a batch of streams.

        Args:
            waveform: float32 [B, S], the samples that the new frames see, normalised by the
                statistics of the stream; zero beyond `lengths`.
            lengths: int64 [B], in samples; less than a frame's field where no frame is new.
            features: float32 [B, C, D], right-aligned.
            is_known: bool [B, C], which of them are a stream's own: the last ones.
            is_provisional: bool [B, R], which of the last R of them are to run again.
            past: float32 [2 L, B, P, D], keys and values of the frames before those, right-aligned.
            is_past: bool [B, P], which of them are a stream's own.
        """
        model, audio = self.model, self.model.config.audio
        new = model.feature_proj(model.feature_norm(model.front_end(waveform, lengths)))
        steps = torch.arange(new.shape[1], device=new.device)
        is_new = steps * audio.frame_hop + audio.frame_field <= lengths.unsqueeze(1)
        x = torch.cat([features, new], dim=1)
        x = x + model.positional(x, torch.cat([is_known, is_new], dim=1))
        before = features.shape[1] - is_provisional.shape[1]
        torch._check(before >= 0)  # type: ignore[no-untyped-call]
        x = x[:, before:]
        runs = torch.cat([is_provisional, is_new], dim=1)
        firsts = is_provisional.logical_not().sum(dim=1)
        x, keys_values = self._encode(x, past, self._biases(runs, firsts, is_past))
        return StepOutputs(cast(nn.Linear, model.head)(x), x, new, keys_values)

    def _encode(self, x: Tensor, past: Tensor, biases: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
        """Frames [B, Q, D] to embeddings, and the `keys_values` of `StepOutputs`."""
        model = self.model
        extra = 0
        if model.extra_tokens is not None:
            extra = model.extra_tokens.shape[1]
            x = torch.cat([model.extra_tokens.expand(x.shape[0], -1, -1), x], dim=1)
        if not model.config.layer_norm_first:
            x = model.norm(x)
        kept: list[Tensor] = []
        for index, (block, bias) in enumerate(zip(model.blocks, biases, strict=True)):
            x, own = block(x, bias, KeysValues(past[2 * index], past[2 * index + 1]))
            kept += [part[:, extra:] for part in own]
        if model.config.layer_norm_first:
            x = model.norm(x)
        return x[:, extra:], torch.stack(kept)

    def _biases(self, runs: Tensor, firsts: Tensor, is_past: Tensor) -> Iterator[Tensor]:
        """What each block adds to its scores, as `Emotion2vec` does: [B, H, E + Q, P + E + Q].

        Args:
            runs: bool [B, Q], which frames are a stream's own.
            firsts: int64 [B], the first of them: the last key of the past is of the frame before.
            is_past: bool [B, P].
        """
        model, device = self.model, runs.device
        extra = 0 if model.extra_tokens is None else model.extra_tokens.shape[1]
        count, ran = is_past.shape[1], runs.shape[1]
        padded = torch.cat([pad(is_past, (0, extra), value=True), runs], dim=1)
        padded = torch.where(padded, 0.0, MASKED)[:, None, None, :]
        if not model.config.audio.use_alibi_encoder:
            yield from [padded.expand(-1, -1, extra + ran, -1)] * len(model.blocks)
            return
        frames = torch.arange(ran, device=device)
        places = torch.arange(count, device=device) - count + firsts.unsqueeze(1)
        nearness = torch.cat(
            [
                pad(-(frames[:, None] - places[:, None, :]).abs(), (0, extra)),
                -(frames[:, None] - frames).abs().expand(runs.shape[0], -1, -1),
            ],
            dim=2,
        )
        nearness = pad(nearness.to(padded.dtype), (0, 0, extra, 0)).unsqueeze(1)
        biases = [slopes[:, None, None] * nearness + padded for slopes in model.alibi]
        yield from biases if len(biases) > 1 else biases * len(model.blocks)
