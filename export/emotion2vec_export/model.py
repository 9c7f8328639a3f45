"""emotion2vec's inference as one padding-exact module.

Written from the architecture (emotion2vec, https://arxiv.org/abs/2312.15185, on data2vec 2.0,
https://arxiv.org/abs/2212.07525) to give for every clip of a padded batch what FunASR gives for
the clip alone. Padding can reach a true frame in five places, and each is closed: the statistics of
the waveform, the statistics of the first convolution's group norm, the positional convolutions,
attention, and the mean over frames.

Shapes: B clips, S samples, T frames, E extra tokens, N = E + T, D embedding size, H heads,
C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, pad, scaled_dot_product_attention

from emotion2vec_export.config import AudioConfig, ModelConfig

_NORM_EPS = 1e-5
"""PyTorch's default, which FunASR uses wherever `norm_eps` does not rule."""
MASKED = -1e4
"""Added to the score of a padded key: exp() of it is 0, and fp16 still holds its sum with ALiBi."""


class Outputs(NamedTuple):
    """`logits` and `frame_logits` are None where the model has no classifier."""

    logits: Tensor | None
    embedding: Tensor
    frame_logits: Tensor | None
    frame_embeddings: Tensor
    frame_lengths: Tensor


def alibi_slopes(heads: int) -> list[float]:
    """One slope a head, as in ALiBi (https://arxiv.org/abs/2108.12409): 2^(-8/n), 2^(-16/n), ...

    Where `heads` is no power of two, every other slope of the next power fills the gap.
    """
    power = 1 << (heads.bit_length() - 1)
    slopes = [2.0 ** (-8.0 * (head + 1) / power) for head in range(power)]
    if power < heads:
        slopes += alibi_slopes(2 * power)[0::2][: heads - power]
    return slopes


class FrontEnd(nn.Module):
    """Strided convolutions, waveform to frames of features: [B, S] -> [B, T, channels]."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.layers = config.feature_encoder_spec
        self.per_frame_norm = config.extractor_mode == "layer_norm"
        inputs = (1, *(layer.channels for layer in self.layers[:-1]))
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, layer.channels, layer.kernel, layer.stride, bias=False)
            for channels, layer in zip(inputs, self.layers, strict=True)
        )
        normed = self.layers if self.per_frame_norm else self.layers[:1]
        self.norms = nn.ModuleList(nn.LayerNorm(layer.channels, _NORM_EPS) for layer in normed)

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        x = waveform.unsqueeze(1)
        for index, conv in enumerate(self.convs):
            x = conv(x)
            if self.per_frame_norm:
                x = self.norms[index](x.transpose(1, 2)).transpose(1, 2)
            elif index == 0:
                x = self._norm_over_time(x, lengths)
            x = gelu(x)
        return x.transpose(1, 2)

    def _norm_over_time(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Group norm with one channel a group, over the true frames alone: [B, channels, T]."""
        first = self.layers[0]
        starts = torch.arange(x.shape[2], device=x.device) * first.stride
        valid = (starts + first.kernel <= lengths.unsqueeze(1)).unsqueeze(1)
        count = valid.sum(dim=2, keepdim=True).to(x.dtype)
        mean = torch.where(valid, x, 0.0).sum(dim=2, keepdim=True) / count
        centred = torch.where(valid, x - mean, 0.0)
        variance = centred.square().sum(dim=2, keepdim=True) / count
        norm = cast(nn.LayerNorm, self.norms[0])
        scale = torch.rsqrt(variance + _NORM_EPS) * norm.weight.unsqueeze(1)
        return centred * scale + norm.bias.unsqueeze(1)


class PositionalConvs(nn.Module):
    """Stacked grouped convolutions that tell a frame where it stands: [B, T, D] -> [B, T, D]."""

    def __init__(self, config: AudioConfig, size: int) -> None:
        super().__init__()
        kernel = config.conv_pos_kernel
        self.norm = nn.LayerNorm(size, _NORM_EPS) if config.conv_pos_pre_ln else None
        self.convs = nn.ModuleList(
            nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=config.conv_pos_groups)
            for _ in range(config.conv_pos_depth)
        )
        self.surplus = 1 - kernel % 2
        """An even kernel, padded on both sides, gives one frame too many."""

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        keep = valid.unsqueeze(2).to(x.dtype)
        if self.norm is not None:
            x = self.norm(x)
        for conv in self.convs:
            y = conv((x * keep).transpose(1, 2)).transpose(1, 2)
            if self.surplus:
                y = y[:, : -self.surplus]
            x = gelu(layer_norm(y, y.shape[-1:], eps=_NORM_EPS))
        return x


class KeysValues(NamedTuple):
    """What attention attends to: [B, N, D] each, heads side by side."""

    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """Multi-head attention with an additive bias."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(size, 3 * size)
        self.proj = nn.Linear(size, size)

    def forward(
        self, x: Tensor, bias: Tensor, past: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues]:
        """Attends from `x` [B, N, D] to the P tokens of `past`, and to `x` itself.

        Args:
            x: tokens.
            bias: [B, H, N, P + N], added to the scores.
            past: of tokens before them.

        Returns:
            [B, N, D], and keys and values of `x`.
        """
        q, k, v = self.qkv(x).chunk(3, dim=2)
        own = KeysValues(k, v)
        if past is not None:
            k, v = torch.cat([past.keys, k], dim=1), torch.cat([past.values, v], dim=1)
        size = x.shape[2] // self.heads
        q, k, v = (
            part.reshape(part.shape[0], part.shape[1], self.heads, size).transpose(1, 2)
            for part in (q, k, v)
        )
        y = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(y.transpose(1, 2).flatten(2)), own


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, hidden = config.embed_dim, int(config.embed_dim * config.mlp_ratio)
        self.layer_norm_first = config.layer_norm_first
        self.norm1, self.norm2 = _norm(config), _norm(config)
        self.attn = Attention(size, config.num_heads)
        self.fc1, self.fc2 = nn.Linear(size, hidden), nn.Linear(hidden, size)

    def forward(
        self, x: Tensor, bias: Tensor, past: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues]:
        """As `Attention.forward`."""
        if self.layer_norm_first:
            y, own = self.attn(self.norm1(x), bias, past)
            # FunASR's (and fairseq's) pre-norm block adds the MLP to itself, not to its input.
            return 2 * self._mlp(self.norm2(x + y)), own
        y, own = self.attn(x, bias, past)
        x = self.norm1(x + y)
        return self.norm2(x + self._mlp(x)), own

    def _mlp(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(gelu(self.fc1(x)))
        return out


class Emotion2vec(nn.Module):
    """The whole model. `classes` is 0 for one without a classifier."""

    alibi: Tensor
    """[1 or layers, H]: slope times learned scale of each head; 0 for a head without ALiBi."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        audio, size = config.audio, config.embed_dim
        self.config = config
        features = audio.feature_encoder_spec[-1].channels
        self.front_end = FrontEnd(audio)
        self.feature_norm = nn.LayerNorm(features, _NORM_EPS)
        self.feature_proj = nn.Linear(features, size)
        self.positional = PositionalConvs(audio, size)
        self.extra_tokens = (
            nn.Parameter(torch.zeros(1, audio.num_extra_tokens, size))
            if audio.num_extra_tokens
            else None
        )
        self.norm = _norm(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Linear(size, classes) if classes else None
        rows = config.layers if audio.learned_alibi_scale_per_layer else 1
        self.register_buffer("alibi", torch.zeros(rows, config.num_heads))

    def forward(self, waveform: Tensor, lengths: Tensor) -> Outputs:
        """Runs a padded batch.

        Args:
            waveform: float32 [B, S] samples at 16 kHz, zero beyond each clip's length.
            lengths: int64 [B] true samples, `frame_field` at least.
        """
        config, audio = self.config, self.config.audio
        if config.normalize:
            waveform = normalize(waveform, lengths)
        features = self.front_end(waveform, lengths)
        # A frame is true where its whole field is: the same as (length - field) // hop + 1 frames,
        # without an integer division, which ONNX exporters spell out at length.
        starts = torch.arange(features.shape[1], device=features.device) * audio.frame_hop
        valid = starts + audio.frame_field <= lengths.unsqueeze(1)
        x = self.feature_proj(self.feature_norm(features))
        x = self._encode(x + self.positional(x, valid), valid)
        frame_lengths = valid.sum(dim=1)
        total = (x * valid.unsqueeze(2).to(x.dtype)).sum(dim=1)
        embedding = total / frame_lengths.unsqueeze(1).to(x.dtype)
        if self.head is None:
            return Outputs(None, embedding, None, x, frame_lengths)
        return Outputs(self.head(embedding), embedding, self.head(x), x, frame_lengths)

    def _encode(self, x: Tensor, valid: Tensor) -> Tensor:
        """Prepends the extra tokens, runs the blocks, and removes the tokens: [B, T, D]."""
        extra = 0
        if self.extra_tokens is not None:
            extra = self.extra_tokens.shape[1]
            x = torch.cat([self.extra_tokens.expand(x.shape[0], -1, -1), x], dim=1)
        if not self.config.layer_norm_first:
            x = self.norm(x)
        for block, bias in zip(self.blocks, self._biases(valid, extra), strict=True):
            x, _ = block(x, bias)
        if self.config.layer_norm_first:
            x = self.norm(x)
        return x[:, extra:]

    def _biases(self, valid: Tensor, extra: int) -> Iterator[Tensor]:
        """What each block adds to its attention scores: ALiBi, and MASKED at padded keys.

        ALiBi is zero from and to extra tokens. Layers that share a scale share one tensor.
        """
        padded = pad(torch.where(valid, 0.0, MASKED), (extra, 0))[:, None, None, :]
        if not self.config.audio.use_alibi_encoder:
            # Attention in ONNX Runtime wants a row for each query.
            yield from [padded.expand(-1, -1, padded.shape[3], -1)] * len(self.blocks)
            return
        frames = torch.arange(valid.shape[1], device=valid.device)
        distance = (frames.unsqueeze(0) - frames.unsqueeze(1)).abs().to(padded.dtype)
        distance = pad(-distance, (extra, 0, extra, 0))
        biases = [slopes[:, None, None] * distance + padded for slopes in self.alibi]
        yield from biases if len(biases) > 1 else biases * len(self.blocks)


def normalize(waveform: Tensor, lengths: Tensor) -> Tensor:
    """Layer norm of each clip over its true samples: [B, S] -> [B, S], zero beyond them."""
    valid = torch.arange(waveform.shape[1], device=waveform.device) < lengths.unsqueeze(1)
    count = lengths.unsqueeze(1).to(waveform.dtype)
    centred = waveform
    for _ in range(
        2
    ):  # A float32 mean is off by more than quiet speech beside a constant can bear.
        mean = centred.sum(dim=1, keepdim=True) / count
        centred = torch.where(valid, centred - mean, 0.0)
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred * torch.rsqrt(variance + _NORM_EPS)


def _norm(config: ModelConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.embed_dim, config.norm_eps, elementwise_affine=config.norm_affine)


def scale_slopes(config: ModelConfig, scale: Tensor) -> Tensor:
    """Folds FunASR's `alibi_scale` into the slopes, giving `Emotion2vec.alibi`.

    Args:
        scale: [1 or layers, 1, 1 or ALiBi heads, 1, 1]. Negative scales count as 0, as in FunASR.
    """
    heads = config.audio.num_alibi_heads
    slopes = torch.zeros(scale.shape[0], config.num_heads)
    slopes[:, :heads] = torch.tensor(alibi_slopes(heads)) * scale.clamp_min(0).flatten(1)
    return slopes
