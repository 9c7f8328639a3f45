"""The command line: what can be said, and what it means."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable
from importlib.metadata import version
from typing import get_args

from emotion2vec_client.audio import RAW_ENCODINGS, RawFormat
from emotion2vec_client.command.plugins import Plugin
from emotion2vec_client.connection import DEFAULT_SERVER, DEFAULT_TIMEOUT
from emotion2vec_client.events import FinalMode, StreamMode

_RAW_RATE = 16000
_TELEPHONE_RATE = 8000
_DISTRIBUTION = "emotion2vec-client"
_EPILOG = """\
environment: EMOTION2VEC_SERVER (for --server), EMOTION2VEC_TOKEN (for --token), NO_COLOR.
exit codes: 0 all is well; 1 some input failed or was left out, the others are done; 2 wrong usage.
"""


def parser(plugins: Iterable[Plugin] = ()) -> argparse.ArgumentParser:
    """The parser; `command` of its result names the subcommand."""
    main = argparse.ArgumentParser(
        prog="emotion2vec",
        description="Recognise emotion in speech with an emotion2vec-server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action="version", version=version(_DISTRIBUTION))
    connection = _connection()
    commands = main.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_add_recognize, _add_stream, _add_models, _add_health):
        add(commands, connection)
    for plugin in plugins:
        plugin.add(commands, connection)
    return main


def _connection() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group("connection")
    group.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("EMOTION2VEC_SERVER") or None,
        help=f"the server ({os.environ.get('EMOTION2VEC_SERVER') or DEFAULT_SERVER})",
    )
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=None,
        help=f"for each call, with its retries ({DEFAULT_TIMEOUT:g}, and more for long recordings; "
        "a stream has no limit)",
    )
    group.add_argument("--tls", action="store_true", help="use TLS")
    group.add_argument(
        "--tls-ca", metavar="FILE", help="trust these authorities instead of the system's (PEM)"
    )
    group.add_argument("--tls-cert", metavar="FILE", help="certificate of this client (PEM)")
    group.add_argument("--tls-key", metavar="FILE", help="its key (PEM)")
    group.add_argument(
        "--token",
        default=os.environ.get("EMOTION2VEC_TOKEN") or None,
        help="bearer token; better in EMOTION2VEC_TOKEN, where other users can't see it",
    )
    return parent


def _add_recognize(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    connection: argparse.ArgumentParser,
) -> None:
    parser = commands.add_parser(
        "recognize", parents=[connection], help="recognise whole recordings"
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="audio file, directory to search through, quoted pattern such as 'calls/**/*.mp3', "
        "or - for one recording on standard input",
    )
    add_model(parser)
    parser.add_argument("--frames", action="store_true", help="scores of every 20 ms too")
    parser.add_argument("--embedding", action="store_true", help="the embedding of the speech too")
    parser.add_argument(
        "--frame-embeddings",
        action="store_true",
        help="one embedding of every 20 ms too, also from models without a classifier; with "
        "--output-dir in frame_embeddings.npy",
    )
    parser.add_argument(
        "--per-channel",
        action="store_true",
        help="each channel by itself, as for calls with a speaker a channel",
    )
    parser.add_argument(
        "--speech-only", action="store_true", help="the result over speech, without the silence"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each input")
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help="write result.json and embedding.npy of each file below DIR, in the tree that the "
        "files lie in, and an index of them",
    )
    parser.add_argument(
        "--processed-audio",
        action="store_true",
        help="processed_audio.wav too, with --output-dir: what the model heard, 16 kHz mono",
    )
    parser.add_argument(
        "--plot",
        action="store_true",
        help="draw a PNG of each result, beside the other outputs or in the current directory",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=count,
        default=8,
        help="files sent at once, for the server to batch (%(default)s)",
    )
    add_raw(parser, "raw samples (of all inputs)")


def _add_stream(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    connection: argparse.ArgumentParser,
) -> None:
    parser = commands.add_parser("stream", parents=[connection], help="recognise live audio")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        help="audio file, or - for standard input: a file of any format as it comes, or raw "
        "samples with --encoding",
    )
    source.add_argument("--microphone", action="store_true", help="listen; Ctrl-C ends it")
    add_model(parser)
    parser.add_argument(
        "--realtime", action="store_true", help="play PATH at its own speed; Ctrl-C ends it"
    )
    parser.add_argument(
        "--reconnect",
        action="store_true",
        help="go on after a server that restarts; of the microphone and raw samples",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each event")
    parser.add_argument(
        "--interim", action="store_true", help="show running results of the utterance too"
    )
    parser.add_argument(
        "--no-vad", action="store_true", help="don't look for where speech begins and ends"
    )
    add_raw(parser, "raw samples")
    parser.add_argument(
        "--end-of-utterance",
        metavar="SECONDS",
        type=_seconds,
        help="have the server end utterances after so much silence",
    )
    parser.add_argument(
        "--longest", metavar="SECONDS", type=_seconds, help="the same after so much speech (15)"
    )
    parser.add_argument(
        "--final",
        choices=get_args(FinalMode),
        help="run the model over whole utterances for their final results (the default), or take "
        "the mean of their frames",
    )
    alerts = parser.add_argument_group("alerts")
    alerts.add_argument(
        "--alerts", action="store_true", help="tell when anger or disgust lasts; implied by these"
    )
    alerts.add_argument(
        "--alert-labels", metavar="LABEL,...", type=_labels, help="(angry,disgusted)"
    )
    alerts.add_argument(
        "--alert-probability",
        metavar="SHARE",
        type=float,
        help="that they must reach together (0.5)",
    )
    alerts.add_argument(
        "--alert-seconds", metavar="SECONDS", type=_seconds, help="that they must last (2)"
    )
    windows = parser.add_argument_group("windows (the server's defaults)")
    windows.add_argument(
        "--mode",
        choices=get_args(StreamMode),
        help="run the model over new audio alone, or over whole windows",
    )
    for name, meaning in (
        ("window", "audio that the model sees at once"),
        ("hop", "new audio between two runs of the model"),
        ("lookahead", "audio heard after a frame before it is final"),
    ):
        windows.add_argument(f"--{name}", metavar="SECONDS", type=_seconds, help=meaning)


def _add_models(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    connection: argparse.ArgumentParser,
) -> None:
    parser = commands.add_parser("models", parents=[connection], help="list the served models")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each model")


def _add_health(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    connection: argparse.ArgumentParser,
) -> None:
    parser = commands.add_parser(
        "health", parents=[connection], help="ask whether the server serves; exit code 1 if not"
    )
    parser.add_argument("--json", action="store_true", help="as one line of JSON")


def add_raw(parser: argparse.ArgumentParser, title: str) -> None:
    """Options that say how raw samples are encoded."""
    raw = parser.add_argument_group(title)
    raw.add_argument("--encoding", choices=RAW_ENCODINGS, help="what they are; none for a file")
    raw.add_argument(
        "--rate",
        metavar="HZ",
        type=count,
        help=f"sample rate ({_RAW_RATE}; {_TELEPHONE_RATE} of mulaw and alaw)",
    )
    raw.add_argument("--channels", metavar="N", type=count, help="interleaved (1)")


def raw_format(arguments: argparse.Namespace) -> RawFormat | None:
    """How the raw samples are encoded that the arguments tell of; None for files.

    Raises:
        ValueError: a rate or channels without an encoding.
    """
    if arguments.encoding is None:
        if arguments.rate or arguments.channels:
            raise ValueError("--rate and --channels are of raw samples: give their --encoding too")
        return None
    usual = _TELEPHONE_RATE if arguments.encoding in ("mulaw", "alaw") else _RAW_RATE
    return RawFormat(arguments.encoding, arguments.rate or usual, arguments.channels or 1)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Options that say which served model scores, and which of its labels."""
    parser.add_argument("--model", metavar="NAME", default="", help="(the server's default)")
    parser.add_argument(
        "--labels",
        metavar="LABEL,...",
        type=_labels,
        default=(),
        help="score these labels only, such as angry,happy,sad",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise argparse.ArgumentTypeError(f"must be more than 0 seconds, not {text}")
    return seconds


def count(text: str) -> int:
    """The type of an option that counts from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return number


def _labels(text: str) -> tuple[str, ...]:
    return tuple(label.strip() for label in text.split(",") if label.strip())
