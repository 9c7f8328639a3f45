"""The peers: how each is installed into an environment of its own, started, and called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import machine
from benchmarks.process import Server, free_port, running

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / "build" / "peers"
RUNTIME = f"{machine.RUNTIME}=={version(machine.RUNTIME)}"
"""ONNX Runtime, as pip is asked for it."""
FOLDER = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True, slots=True)
class Launch:
    """What starts a peer on one graph."""

    python: Path
    graph: Path
    port: int
    threads: int
    provider: str
    """"cpu" or "cuda"."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(ROOT),
            "PEER_MODEL": str(self.graph),
            "PEER_THREADS": str(self.threads),
            "PEER_PROVIDER": self.provider,
        }

    @property
    def flags(self) -> list[str]:
        return [
            *("--model", str(self.graph)),
            *("--port", str(self.port)),
            *("--threads", str(self.threads)),
            *("--provider", self.provider),
        ]


@dataclass(frozen=True, slots=True)
class Peer:
    """One alternative to our server."""

    name: str
    target: str
    """How it is called: a kind of `targets.open_target`."""
    requirements: tuple[str, ...]
    """What its environment holds beside ONNX Runtime; nothing means our own environment."""
    command: Callable[[Launch], tuple[Sequence[str], Mapping[str, str]]]
    """Command and environment variables."""

    @property
    def python(self) -> Path:
        if not self.requirements:
            return Path(sys.executable)
        return ENVIRONMENTS / self.name / "bin" / "python"

    def install(self) -> None:
        """Makes its environment, once.

        Raises:
            subprocess.CalledProcessError: pip failed.
        """
        stamp = ENVIRONMENTS / self.name / "installed.txt"
        wanted = "\n".join((*self.requirements, RUNTIME))
        if not self.requirements or (stamp.exists() and stamp.read_text() == wanted):
            return
        print(f"installing {self.name} into {stamp.parent} (once)", file=sys.stderr, flush=True)
        create = [sys.executable, "-m", "venv", "--clear", str(stamp.parent)]
        subprocess.run(create, check=True)
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted.splitlines()], check=True)
        stamp.write_text(wanted)

    @property
    def version(self) -> str:
        """Of its first requirement, as installed."""
        if not self.requirements:
            return f"grpcio {version('grpcio')}"
        package = self.requirements[0].partition("==")[0]
        code = f"from importlib.metadata import version; print(version({package!r}))"
        run = subprocess.run(
            [str(self.python), "-c", code], capture_output=True, text=True, check=True
        )
        return f"{package} {run.stdout.strip()}"

    @contextmanager
    def running(self, graph: Path, threads: int, provider: str, log: Path) -> Iterator[Server]:
        """The peer on `graph`; it may not be ready yet."""
        port = free_port()
        launch = Launch(self.python, graph, port, threads, provider)
        command, environment = self.command(launch)
        with running(command, log, {**launch.environment, **environment}) as process:
            yield Server(process.pid, f"127.0.0.1:{port}")


def _naive(launch: Launch) -> tuple[Sequence[str], Mapping[str, str]]:
    return [str(launch.python), "-m", "benchmarks.peers.naive", *launch.flags], {}


def _litserve(launch: Launch) -> tuple[Sequence[str], Mapping[str, str]]:
    return [str(launch.python), "-m", "benchmarks.peers.litserve_server", *launch.flags], {}


def _ray(launch: Launch) -> tuple[Sequence[str], Mapping[str, str]]:
    command = [str(launch.python), "-m", "benchmarks.peers.ray_server", *launch.flags]
    return command, {"RAY_USAGE_STATS_ENABLED": "0"}


def _mosec(launch: Launch) -> tuple[Sequence[str], Mapping[str, str]]:
    flags = [
        *("--address", "127.0.0.1"),
        *("--port", str(launch.port)),
        # No wait for more: a batch is what is there when the worker is free.
        *("--wait", "0"),
        *("--timeout", "600000"),
        *("--log-level", "warning"),
    ]
    command = [str(launch.python), "-m", "benchmarks.peers.mosec_server", *flags]
    # The worker that mosec spawns starts from PATH.
    return command, {"PATH": f"{launch.python.parent}:/usr/bin:/bin"}


def _triton(launch: Launch) -> tuple[Sequence[str], Mapping[str, str]]:
    """Triton's own binary from PyTriton's wheel, with the Python backend beside it."""
    packages = next((launch.python.parent.parent / "lib").glob("python3*/site-packages"))
    triton = packages / "pytriton" / "tritonserver"
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = triton / "backends" / "python" / "triton_python_backend_stub"
    if not stub.exists():
        # The backend looks for it beside itself; the wheel brings one for each Python version.
        stub.symlink_to(triton / "python_backend_stubs" / python_version / stub.name)
    command = [
        str(triton / "bin" / "tritonserver"),
        f"--model-repository={FOLDER / 'triton_repository'}",
        f"--backend-directory={triton / 'backends'}",
        "--disable-auto-complete-config",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={launch.port}",
        # Requests in flight at once, so that none of them has to allocate.
        "--grpc-infer-allocation-pool-size=128",
        "--allow-http=false",
        "--allow-metrics=false",
        # Shared memory between the front end and the Python process, so that it need not grow.
        "--backend-config=python,shm-default-byte-size=268435456",
    ]
    return command, {
        "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
        "PATH": f"{launch.python.parent}:/usr/bin:/bin",
        "PYTHONPATH": f"{packages}:{ROOT}",
    }


PEERS = {
    peer.name: peer
    for peer in (
        Peer("triton", "triton", ("nvidia-pytriton==0.7.0",), _triton),
        Peer("mosec", "mosec", ("mosec==0.9.8", "numpy"), _mosec),
        Peer("litserve", "litserve", ("litserve==0.2.19", "numpy"), _litserve),
        Peer("ray", "ray", ("ray==2.60.0", "ray[serve]", "numpy"), _ray),
        Peer("naive", "naive", (), _naive),
    )
}
