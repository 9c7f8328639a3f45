"""Graphs with weights beside them: the steps of live streams are read from the clips' file."""

from __future__ import annotations

from pathlib import Path

import pytest
from emotion2vec_export import graph
from emotion2vec_export.__main__ import main
from emotion2vec_runtime.bundle import load_bundle


def test_steps_take_no_room_for_the_weights_of_clips(
    write_checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "_EXTERNAL_DATA_BYTES", 0)
    bundle = tmp_path / "bundle"
    precisions = ("fp32", "int8")
    arguments = [str(write_checkpoint()), "--output", str(bundle), "--precision", *precisions]
    # Here both kinds of graphs are compared with FunASR, as they lie on disk.
    assert main(arguments) == 0
    manifest = load_bundle(bundle).manifest
    for precision in precisions:
        clips, steps = (
            {entry.file: entry.size for entry in artifact.external_data}
            for artifact in manifest.artifacts
            if artifact.precision == precision
        )
        assert clips.items() <= steps.items()
        assert sum(steps.values()) < 1.1 * sum(clips.values())
    listed = {entry.file for artifact in manifest.artifacts for entry in artifact.files}
    assert {path.name for path in bundle.iterdir()} == listed | {"manifest.json"}
