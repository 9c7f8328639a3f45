"""`emotion2vec score --engine ray` at work: find, hand out the parts, sum up."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from emotion2vec_client.command.extras import MissingExtraError
from emotion2vec_client.command.terminal import Terminal

from emotion2vec_archive.cluster.parts import Part, plan
from emotion2vec_archive.cluster.store import PartStore
from emotion2vec_archive.command.closing import close
from emotion2vec_archive.command.finding import Found, find_recordings
from emotion2vec_archive.engine import EngineError
from emotion2vec_archive.progress import Shown, Tally, watching
from emotion2vec_archive.row import Per
from emotion2vec_archive.summary import Summary

_FAILED = 1
# Of a server, or of raw samples.
_ELSEWHERE = ("server", "model", "frames", "encoding")


def score_on_cluster(arguments: Namespace, terminal: Terminal) -> int:
    """Runs the subcommand; returns the exit code.

    Raises:
        MissingExtraError: Ray is not installed.
        ValueError: the arguments don't fit each other.
        OSError: a list or the output can't be opened.
    """
    if find_spec("ray") is None:
        raise MissingExtraError(
            "--engine ray needs Ray; install it with: pip install 'emotion2vec-archive[ray]'"
        )
    _check(arguments)
    found = find_recordings(arguments, terminal)
    how = Shown.NONE if arguments.quiet else Shown(arguments.progress)
    store = PartStore(arguments.output)
    store.prepare()
    begun_with = store.plan()
    _check_options(arguments, begun_with)
    done = store.done()
    parts = list(plan(found.recordings, done, retry_failed=arguments.retry_failed))
    if how not in (Shown.NONE, Shown.JSON):
        _tell_done(found, parts, terminal)
    try:
        _score(arguments, store, begun_with, parts, how)
    except EngineError as error:
        terminal.error(str(error))
        return _FAILED
    summary = Summary(arguments.top_label, arguments.top_by, arguments.top)
    for row in store.rows():
        summary.see(row)
    return close(summary, found, {"table": arguments.output}, how, terminal)


def _check(arguments: Namespace) -> None:
    for name in _ELSEWHERE:
        if getattr(arguments, name):
            raise ValueError(f"--{name} does not go with --engine ray")
    if arguments.bundle is None:
        raise ValueError("--engine ray needs --bundle DIR, which its workers load")
    if arguments.embeddings == "npy":
        raise ValueError("--engine ray writes embeddings as a column: --embeddings column")
    if arguments.per == Per.UTTERANCE:
        raise ValueError("--per utterance needs a server: leave --engine ray out")
    if arguments.embeddings is not None and arguments.per == Per.SEGMENT:
        raise ValueError("--embeddings has one a recording or channel, not a segment")
    if arguments.worker_gpus < 0:
        raise ValueError("--worker-gpus is 0 or more")


def _check_options(arguments: Namespace, begun_with: dict[str, Any] | None) -> None:
    """Whether a table was begun with other options; a worker sees whether with another model."""
    for name in ("per", "speech_only"):
        if begun_with is not None and begun_with[name] != getattr(arguments, name):
            raise ValueError(
                f"{arguments.output} was begun with another --{name.replace('_', '-')}: take the "
                "same, or another --output"
            )


def _tell_done(found: Found, parts: Sequence[Part], terminal: Terminal) -> None:
    left = sum(len(part.recordings) for part in parts)
    if left < len(found.recordings):
        terminal.error(f"{len(found.recordings) - left} done already, {left} to score")


def _score(
    arguments: Namespace,
    store: PartStore,
    begun_with: dict[str, Any] | None,
    parts: Sequence[Part],
    how: Shown,
) -> None:
    # Ray takes a second to load.
    from emotion2vec_archive.cluster import engine
    from emotion2vec_archive.cluster.worker import Job

    job = Job(
        bundle=str(arguments.bundle.resolve()),
        store=store,
        begun_with=begun_with,
        per=Per(arguments.per),
        labels=arguments.labels,
        speech_only=arguments.speech_only,
        embeddings=arguments.embeddings is not None,
        threads=arguments.worker_cpus,
    )
    workers = engine.Workers(arguments.worker_cpus, arguments.worker_gpus, arguments.workers)
    waiting = [recording for part in parts for recording in part.recordings]
    tally = Tally(len(waiting), sum(recording.size or 0 for recording in waiting))
    with watching(how, tally) as watch:
        for report in engine.run(parts, job, workers, address=arguments.ray_address):
            watch.count(report.recordings, report.failed, report.size, report.seconds)
