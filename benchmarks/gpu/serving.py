"""Our server on the same machine, under callers that each wait for their answer."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.subject import RATE, Subject, batch

_SECONDS = (1.0, 3.0, 5.0, 10.0)
"""Of the callers' clips, in turn."""
_CLIENTS = 8
"""Connections that the callers share."""


def serve(subject: Subject, device: str, callers: Sequence[int], seconds: float) -> dict[str, Any]:
    """Requests a second and their latencies; or what is missing."""
    try:
        from benchmarks.process import emotion2vec_server

        bundle = _bundle(subject)
        provider = "cpu" if device == "cpu" else "cuda"
        arguments = ("--model", str(bundle), "--provider", provider, "--precision", "fp16")
        with emotion2vec_server(subject.directory / "server.log", *arguments) as server:
            loads = [
                {"callers": count, **asyncio.run(_load(server.address, count, seconds))}
                for count in callers
            ]
    except (ImportError, OSError, RuntimeError) as error:
        return {"missing": f"{type(error).__name__}: {error}"}
    return {"provider": provider, "loads": loads}


def _bundle(subject: Subject) -> Path:
    """A bundle of the fp16 graph. It is compared with fp32 above, and says so instead of rows."""
    from emotion2vec_export.graph import OPSET, external_data, tensor_specs
    from emotion2vec_export.labels import parse_tokens
    from emotion2vec_export.synthetic import LABELS
    from emotion2vec_server.bundle import MANIFEST, Artifact, Manifest, Parity, describe_file

    inputs, outputs = tensor_specs(subject.fp16)
    entry = describe_file(subject.fp16)
    artifact = Artifact(
        file=entry.file,
        sha256=entry.sha256,
        size=entry.size,
        kind="onnx",
        precision="fp16",
        external_data=tuple(describe_file(file) for file in external_data(subject.fp16)),
        inputs=inputs,
        outputs=outputs,
        parity=Parity(reference="benchmarks.gpu", bound=0.0, rows=()),
    )
    config = subject.model.config
    manifest = Manifest(
        name="synthetic",
        source="benchmarks.gpu",
        source_revision="seed:0",
        labels=parse_tokens(LABELS).labels,
        frame_hop=config.audio.frame_hop,
        frame_field=config.audio.frame_field,
        embedding_size=config.embed_dim,
        normalize=config.normalize,
        opset=OPSET,
        exporter={},
        artifacts=(artifact,),
    )
    (subject.directory / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    return subject.directory


async def _load(address: str, callers: int, seconds: float) -> dict[str, Any]:
    from emotion2vec_client import AsyncClient, RecognitionError

    clips = [(batch(1, length)[0][0] * 32767).astype("<i2").tobytes() for length in _SECONDS]
    taken: list[float] = []
    failed = 0
    heard = 0.0
    warm, end = time.monotonic() + seconds / 4, time.monotonic() + seconds * 5 / 4

    async def call(client: AsyncClient, first: int) -> None:
        nonlocal failed, heard
        for turn in itertools.count(first):
            began = time.monotonic()
            if began >= end:
                return
            try:
                await client.recognize(
                    clips[turn % len(clips)], encoding="linear16", sample_rate=RATE, timeout=60
                )
            except RecognitionError:
                failed += 1
                continue
            if began >= warm:
                taken.append(time.monotonic() - began)
                heard += _SECONDS[turn % len(clips)]

    clients = [AsyncClient(address) for _ in range(min(_CLIENTS, callers))]
    try:
        await asyncio.gather(*(call(clients[n % len(clients)], n) for n in range(callers)))
    finally:
        for client in clients:
            await client.close()
    p50, p99 = np.percentile(taken, [50, 99]) if taken else (float("nan"),) * 2
    return {
        "requests_a_second": len(taken) / seconds,
        "audio_rate": heard / seconds,
        "p50": float(p50),
        "p99": float(p99),
        "failed": failed,
    }
