"""The command that measures and writes the report."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import models, process
from benchmarks.comparison import Comparison
from benchmarks.fidelity import BundleFidelity
from benchmarks.speech import Mix


def test_a_run_that_is_stopped_leaves_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    sections = {"peers": lambda: Comparison(Mix(), failures={"mosec": "is down"}), "load": stopped}
    monkeypatch.setattr(command, "_sections", lambda *_: sections)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--output", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        command.main()
    assert "Left out: mosec is down." in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_section_measured_alone_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = {
        "peers": lambda: Comparison(Mix(), failures={"mosec": "is down"}),
        "fidelity": lambda: [BundleFidelity("demo 1a2b", ["sad"], 1, {}, {"fp32": [[1]]})],
    }
    monkeypatch.setattr(command, "_sections", lambda *_: sections)
    for name in sections:
        flags = ["--only", name, "--output", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["benchmarks", *flags])
        assert command.main() == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Left out: mosec is down." in text
    assert "demo 1a2b in fp32: 1 of 1 right" in text


def test_the_long_form_compares_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    plans = command._peer_plans(command._parser().parse_args())
    assert {plan.model for plan in plans} == {"light", "middling", "large"}


def test_a_server_that_ended_is_not_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as server:
        assert process.alive(server.pid)
        assert server.stdin is not None
        server.stdin.close()
        limit = time.monotonic() + 30
        # Nobody has asked for its status yet, so that its entry in /proc is still there.
        while process.alive(server.pid) and time.monotonic() < limit:
            time.sleep(0.01)
        assert Path(f"/proc/{server.pid}").exists()
        assert not process.alive(server.pid)
    assert not process.alive(server.pid)


def test_a_card_has_no_section_for_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "--card", "--only", "latency"])
    with pytest.raises(SystemExit):
        command.main()
    assert "--card measures peers, load, doors, streams only" in capsys.readouterr().err


def test_only_the_model_for_a_card_runs_on_one() -> None:
    """On a machine with a card the server would take it for all of them."""
    assert models.provider(models.ON_CARD) == "cuda"
    assert models.server_arguments("demo") == ["--provider", "cpu", "--precision", "fp32"]
