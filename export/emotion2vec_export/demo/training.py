"""Trains the demo model through FunASR's own `Emotion2vec` class."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emotion2vec_export.demo.batches import Batch, BatchMaker
from emotion2vec_export.demo.corpus import LABELS
from emotion2vec_export.demo.effects import Samples
from emotion2vec_export.demo.recipe import Plan, demo_options

_LOG_EVERY = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """One optimiser step: its number from 0, and its loss in nats."""

    step: int
    loss: float


def build_model(plan: Plan) -> nn.Module:
    """FunASR's `Emotion2vec` with the demo's configuration, with the plan's blocks and seed."""
    from funasr.models.emotion2vec.model import Emotion2vec  # slow to import

    torch.manual_seed(plan.seed)
    options = demo_options(plan.blocks)
    return cast(nn.Module, Emotion2vec(model_conf=options, vocab_size=len(LABELS)))


def train(model: nn.Module, maker: BatchMaker, plan: Plan) -> Iterator[Progress]:
    """Trains `model` in place, one step for each value taken from the iterator."""
    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    optimizer = _Optimizer(model, plan)
    model.train()
    started = time.perf_counter()
    for step, batch in enumerate(_prefetched(maker, plan.steps)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(model, batch, plan)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(_rate(step, plan))
        if step % _LOG_EVERY == 0:
            elapsed = time.perf_counter() - started
            logger.info("step %d of %d: loss %.3f, %.0f s", step, plan.steps, loss.item(), elapsed)
        yield Progress(step, loss.item())
    model.eval()


@torch.no_grad()
def frame_logits(model: nn.Module, samples: Samples) -> NDArray[np.float32]:
    """Class scores of each frame before the softmax, float32 [T, C]; their mean is the clip's."""
    model.eval()
    logits = batch_logits(model, torch.from_numpy(samples)[None])[0]
    return cast(NDArray[np.float32], logits.numpy())


def batch_logits(model: nn.Module, waveforms: Tensor) -> Tensor:
    """Frame logits [B, T, C] of unpadded waveforms [B, S].

    The arithmetic of FunASR's `Emotion2vec.forward` on its own parameters, but with the front end's
    convolutions as matrix products with channels last: twice as fast to train on a CPU, where the
    layer norm between them would else transpose every activation back and forth.
    """
    x = functional.layer_norm(waveforms, waveforms.shape[-1:])[..., None]
    encoder: Any = cast(Any, model).modality_encoders["AUDIO"]
    for convolution, _, (_, norm, _), _ in encoder.local_encoder.conv_layers:
        windows = x.unfold(1, convolution.kernel_size[0], convolution.stride[0]).flatten(2)
        x = functional.gelu(norm(functional.linear(windows, convolution.weight.flatten(1))))
    _, norm, projection = encoder.project_features
    context = encoder.contextualized_features(
        projection(norm(x)), padding_mask=None, mask=False, remove_masked=False
    )
    x = context["x"]
    for block in cast(Any, model).blocks:
        x, _ = block(x, alibi_bias=context["alibi_bias"])
    frames = x[:, encoder.modality_cfg.num_extra_tokens :]
    return cast(Tensor, cast(Any, model).proj(frames)).float()


def _loss(model: nn.Module, batch: Batch, plan: Plan) -> Tensor:
    """Cross entropy of clips, against the share of each class in their frames, and of frames."""
    classes = torch.from_numpy(batch.frame_classes)
    shares = functional.one_hot(classes, len(LABELS)).float().mean(dim=1)
    logits = batch_logits(model, torch.from_numpy(batch.waveforms))
    clip = functional.cross_entropy(
        logits.mean(dim=1), shares, label_smoothing=plan.label_smoothing
    )
    frame = functional.cross_entropy(
        logits.flatten(0, 1), classes.flatten(), label_smoothing=plan.label_smoothing
    )
    return clip + plan.frame_weight * frame


class _Optimizer:
    """Muon for matrices and convolution kernels, AdamW for the rest.

    On this model Muon needs about half the steps of AdamW, and time on a CPU is what is scarce.
    Norms, biases, extra tokens, ALiBi scales and the head are no matrices in its sense.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self._parameters = list(model.parameters())
        self._kernels = [
            parameter
            for name, parameter in model.named_parameters()
            if name.endswith(".weight") and parameter.dim() > 1 and not name.startswith("proj.")
        ]
        chosen = {id(parameter) for parameter in self._kernels}
        # Muon takes matrices only: these share the kernels' memory, as [out, in x width].
        self._matrices = [nn.Parameter(kernel.detach().flatten(1)) for kernel in self._kernels]
        self._muon = torch.optim.Muon(
            self._matrices,
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adam = torch.optim.AdamW(
            [parameter for parameter in self._parameters if id(parameter) not in chosen],
            lr=plan.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=0.0,
        )
        self._learning_rate = plan.learning_rate

    def step(self, rate: float) -> None:
        """Moves the parameters along their gradients, at `rate` times the learning rate."""
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        for optimizer in (self._muon, self._adam):
            for group in optimizer.param_groups:
                group["lr"] = rate * self._learning_rate
            optimizer.step()  # type: ignore[no-untyped-call]
        for parameter in self._parameters:
            parameter.grad = None


def _rate(step: int, plan: Plan) -> float:
    """Linear warm-up, then half a cosine down to nearly nothing."""
    warmup = max(1, round(plan.warmup * plan.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, plan.steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0))) + 1e-3


def _prefetched(maker: BatchMaker, steps: int) -> Iterator[Batch]:
    """Batches in order, each made while the one before is trained on."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(maker.make, 0)
        for step in range(steps):
            batch = ahead.result()
            if step + 1 < steps:
                ahead = pool.submit(maker.make, step + 1)
            yield batch
