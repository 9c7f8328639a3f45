"""`emotion2vec models` and `emotion2vec health`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from emotion2vec_client.client import Client
from emotion2vec_client.command.terminal import Terminal
from emotion2vec_client.results import Health, Model


def models(arguments: Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Lists the served models; returns the exit code."""
    with Client(**connection) as client:
        served = client.list_models()
    for model in served:
        if arguments.json:
            terminal.print_json(model.to_dict())
        else:
            _show(model, terminal)
    return 0


def health(arguments: Namespace, connection: dict[str, Any], terminal: Terminal) -> int:
    """Asks for the server's health; returns 0 only if it serves."""
    with Client(**connection) as client:
        status = client.health()
    if arguments.json:
        terminal.print_json({"server": arguments.server, "status": status.value})
    else:
        terminal.print(f"{arguments.server}: {status.value}")
    return 0 if status is Health.SERVING else 1


def _show(model: Model, terminal: Terminal) -> None:
    about = f"{model.precision} on {model.provider}"
    about += ", default" if model.is_default else ""
    about += ", demo" if model.is_demo else ""
    terminal.print(f"{terminal.bold(model.name)}  {terminal.faint(f'{model.version}  {about}')}")
    if model.labels:
        names = (
            terminal.paint(label.name, label.name, index)
            for index, label in enumerate(model.labels)
        )
        terminal.print(f"  labels     {' '.join(names)}")
    else:
        terminal.print("  labels     none: it gives embeddings only")
    terminal.print(f"  embedding  {model.embedding_size} values")
    terminal.print(
        f"  audio      up to {model.max_audio_duration:g} s, in windows of {model.max_window:g} s"
    )
