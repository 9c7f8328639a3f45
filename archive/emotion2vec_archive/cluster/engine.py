"""Ray Data hands the parts to workers on all nodes of a cluster. The only place that knows Ray."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import ray.data
from emotion2vec_runtime.errors import InvalidRequestError, LoadError

from emotion2vec_archive.cluster.parts import Part
from emotion2vec_archive.cluster.worker import Job, PartReport, PartScorer
from emotion2vec_archive.engine import EngineError


@dataclass(frozen=True, slots=True)
class Workers:
    """What each worker has of its node, and how many there may be."""

    cpus: int = 1
    gpus: float = 0.0
    most: int | None = None
    """None: as many as the cluster has room for, also when it grows."""


def run(
    parts: Sequence[Part], job: Job, workers: Workers, *, address: str | None = None
) -> Iterator[PartReport]:
    """Scores the parts; tells of each once it is written, in any order.

    A part whose worker dies is scored by another one: `PartScorer` sees to it that this ends.

    Args:
        parts: what is to be done.
        job: what workers are told.
        workers: how many of which size.
        address: of a cluster, as in `ray.init`; None takes RAY_ADDRESS, else this machine.

    Raises:
        EngineError: there is no such cluster or no node of it is large enough, or a worker can't
            load the model or can't write.
    """
    if not parts:
        return
    _connect(address)
    _check_room(workers)
    tasks = [{"part": pickle.dumps(part)} for part in parts]
    scored = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map(
        _Worker,
        fn_constructor_args=(job,),
        num_cpus=workers.cpus,
        num_gpus=workers.gpus or None,
        compute=_pool(workers, len(parts)),
    )
    for answer in scored.iter_rows():
        if answer["fault"]:
            raise EngineError(f"node {answer['node']}: {answer['fault']}")
        yield pickle.loads(answer["report"])  # noqa: S301 - our own worker made it


class _Worker:
    """`PartScorer` as Ray calls it. What would stop every worker is told in words: of an exception
    Ray makes a traceback."""

    def __init__(self, job: Job) -> None:
        self._fault = ""
        try:
            self._score = PartScorer(job)
        except (LoadError, InvalidRequestError) as error:
            self._fault = str(error)

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        fault, report = self._fault, b""
        if not fault:
            try:
                report = pickle.dumps(self._score(pickle.loads(task["part"])))  # noqa: S301 - ours
            except OSError as error:
                fault = f"can't write: {error}"
        return {"report": report, "fault": fault, "node": ray.util.get_node_ip_address()}


def _connect(address: str | None) -> None:
    # It tells of itself in lines that would tear the progress bar.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if not ray.is_initialized():
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = address or "RAY_ADDRESS"
            raise EngineError(f"there is no Ray cluster at {where}: {error}") from error
    ray.data.DataContext.get_current().enable_progress_bars = False


def _check_room(workers: Workers) -> None:
    """Ray would wait for such a node for ever."""
    wanted = {"CPU": float(workers.cpus), "GPU": workers.gpus}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(kind, 0.0) >= wanted[kind] for kind in wanted) for node in nodes):
        raise EngineError(
            f"no node of the Ray cluster has {workers.cpus} CPUs and {workers.gpus:g} GPUs for a "
            "worker: ask for less, or start Ray on larger nodes"
        )


def _pool(workers: Workers, parts: int) -> ray.data.ActorPoolStrategy:
    """As many workers as there is room for, from the start."""
    resources = ray.cluster_resources()
    room = int(resources.get("CPU", 0) // workers.cpus)
    if workers.gpus:
        room = min(room, int(resources.get("GPU", 0) // workers.gpus))
    most = min(parts, workers.most or parts)
    return ray.data.ActorPoolStrategy(
        min_size=1,
        initial_size=max(1, min(room, most)),
        max_size=most,
        # A second part waits at each worker; more would wait there while others are idle.
        max_tasks_in_flight_per_actor=2,
    )
