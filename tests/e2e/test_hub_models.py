"""A server that is told a hub's id, against a stand-in for the hub."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from emotion2vec.v1 import service_pb2, service_pb2_grpc
from emotion2vec_export.synthetic import write_synthetic

from tests.e2e.conftest import start_server
from tests.export.hub_stand_in import HubStandIn, hub
from tests.export.samples import MICRO

MODEL = "iic/emotion2vec_plus_base"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def away(tmp_path: Path):
    write_synthetic(tmp_path / "repository", MICRO, 0)
    with hub({MODEL: tmp_path / "repository"}) as stand_in:
        yield stand_in


def environment(url: str, home: Path) -> dict[str, str]:
    return {
        "XDG_CACHE_HOME": str(home / "cache"),
        "MODELSCOPE_CACHE": str(home / "modelscope"),
        "MODELSCOPE_ENDPOINT": url,
        "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "1",
    }


@pytest.mark.slow
def test_a_model_is_exported_once_and_then_served(away: HubStandIn, tmp_path: Path) -> None:
    start = partial(start_server, "--model", MODEL, "--provider", "cpu")
    with ThreadPoolExecutor() as threads:  # Two at once.
        both = [threads.submit(start, **environment(away.url, tmp_path)) for _ in range(2)]
        servers = [future.result() for future in both]
    assert away.asked.count("model.pt") == 1
    # The next one needs neither the hub nor what was fetched from it.
    servers.append(start(**environment(NOWHERE, tmp_path / "other") | cache(tmp_path)))
    for server in servers:
        with server.channel() as channel:
            stub = service_pb2_grpc.EmotionRecognitionServiceStub(channel)
            (model,) = stub.ListModels(service_pb2.ListModelsRequest()).models
        assert model.name == "emotion2vec_plus_base"
        assert server.stop() == 0
    bundles = tmp_path / "cache" / "emotion2vec-server" / "bundles" / "iic"
    assert {path.name for path in bundles.iterdir()} == {
        "emotion2vec_plus_base",
        ".emotion2vec_plus_base.lock",
    }


def cache(home: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(home / "cache")}


def test_what_the_exporter_says_is_shown(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        start_server("--model", MODEL, **environment(NOWHERE, tmp_path))
    log = str(caught.value)
    assert f"error: {MODEL} is no directory here, and can't be had from modelscope" in log
    assert f"--model {MODEL}: the export failed with status 1" in log


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_an_export_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "emotion2vec_server", "--model", MODEL, "--port", "0"]
        with subprocess.Popen(
            command, env=os.environ | environment(url, tmp_path), stderr=subprocess.DEVNULL
        ) as server:
            connection, _ = silent.accept()  # The exporter is at work, and waits for an answer.
            (exporter,) = (pid for pid in children(server.pid) if "tether" in command_of(pid))
            server.kill()
        with connection:
            limit = time.monotonic() + 30
            while alive(exporter) and time.monotonic() < limit:
                time.sleep(0.05)
    assert not alive(exporter)


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def command_of(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text()


def alive(process: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
