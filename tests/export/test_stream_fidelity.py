"""The export says how close live streams come to whole recordings, as a server's streams would."""

from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_export.stream_fidelity import track_to_stream
from emotion2vec_runtime.bundle import load_bundle

from benchmarks import fidelity_streaming as benchmark
from tests.export.samples import Export


def test_the_manifest_says_what_the_benchmark_measures(published: Export) -> None:
    """With the server's own windows and steps."""
    bundle = load_bundle(published.bundle)
    model = benchmark.Model(bundle)
    samples = track_to_stream()
    offline = model.probabilities(samples)
    track = benchmark.Track(samples, np.zeros(len(offline), np.int64), offline)
    rows = bundle.manifest.streams
    assert [row.mode for row in rows] == ["windowed", "incremental"]
    for row in rows:
        framing = benchmark.framing_of(
            model.manifest, benchmark.LONGEST, incremental=row.mode == "incremental"
        )
        if framing.incremental:
            streamed = model.streamed_in_steps(samples, framing)
        else:
            (streamed,) = benchmark.stream(model, [track], framing, {}, reference=False)
        difference = np.abs(streamed - offline).max(axis=1).mean()
        agreement = (streamed.argmax(axis=1) == offline.argmax(axis=1)).mean()
        assert row.difference == pytest.approx(float(difference), rel=1e-3)
        assert row.agreement == pytest.approx(float(agreement), abs=2e-3)
        assert row.difference > 0
