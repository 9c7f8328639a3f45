"""Flag, then environment, then default; anything wrong stops the start."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from emotion2vec_runtime.errors import ConfigError
from emotion2vec_server.process.settings import read_settings


def test_defaults() -> None:
    settings = read_settings([])
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 50051, ())


def test_model_repeats_in_order() -> None:
    assert read_settings(["--model", "b", "--model", "a"]).model == (Path("b"), Path("a"))


def test_a_flag_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2V_PORT", "1000")
    monkeypatch.setenv("E2V_HOST", "::1")
    settings = read_settings(["--port", "2000"])
    assert (settings.port, settings.host) == (2000, "::1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "--port"),
        (["--port", "many"], "--port"),
        (["--max-batch-seconds", "-1"], "--max-batch-seconds"),
        (["--max-batch-seconds", "601"], "--max-batch-seconds"),
        (["--max-audio-seconds", "inf"], "--max-audio-seconds"),
        (["--low-confidence", "60"], "--low-confidence"),
        (["--tls-key", "key.pem"], "tls_certificate and tls_key"),
        (["--tls-client-ca", "ca.pem"], "tls_client_ca needs"),
        (["--window-overlap-seconds", "20"], "at most half"),
        (["--max-batch-seconds", "10"], "max_batch_seconds must be at least max_window_seconds"),
        (["--max-queue-seconds", "20"], "max_queue_seconds must be at least max_window_seconds"),
        (["--max-audio-seconds", "0.5"], "--max-audio-seconds"),
        (["--max-audio-seconds", "1e9"], "--max-audio-seconds"),
        (["--max-queue-size", "100000000"], "--max-queue-size"),
        (["--provider", "abacus"], "--provider: choose of auto, tensorrt, cuda, cpu"),
    ],
)
def test_a_bad_value_is_named(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_settings(arguments)


@pytest.mark.parametrize("value", ["/models", "[1", '"/models"'])
def test_a_variable_that_holds_no_list_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E2V_MODEL", value)
    with pytest.raises(ConfigError, match=r"(?i)e2v.model|--model"):
        read_settings([])


def test_a_variable_holds_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2V_MODEL", '["/b", "/a"]')
    assert read_settings([]).model == (Path("/b"), Path("/a"))


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2V_PROT", "1")
    with pytest.raises(ConfigError, match="E2V_PROT"):
        read_settings([])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("E2V_PORT", "tcp://10.0.0.1:50051"),
        ("E2V_SERVICE_HOST", "10.0.0.1"),
        ("E2V_PORT_50051_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_what_kubernetes_sets_is_told_from_a_mistake(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="Kubernetes sets for a service named e2v"):
        read_settings([])


def test_help_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        read_settings(["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert not re.search(r"tuple\[|\bfloat\b|\bint\b|\bstr\b|None|default: ", shown)
    for words in ("--model DIR", "--port N", "--max-audio-seconds SECONDS", "(50051)"):
        assert words in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        read_settings(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == version("emotion2vec-server")


def test_an_unknown_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        read_settings(["--prot", "1"])
    assert stop.value.code == 2
    assert "--prot" in capsys.readouterr().err
