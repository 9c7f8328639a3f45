"""The report's section on archives."""

from __future__ import annotations

from statistics import median

from benchmarks.archives import FUNASR, LOOP, SCORE, Archives
from benchmarks.markdown import mix, spread, table

_HEADER = ("", "seconds", "of audio a second", "CPU seconds a recording", "FunASR by it")


def archives_section(result: Archives) -> str:
    names = list(dict.fromkeys(turn.contestant for turn in result.turns))
    single = spread(result.ratios(FUNASR, f"{LOOP}, int8"))
    served = spread(result.ratios(f"{LOOP}, int8", f"{SCORE}, int8"))
    return "\n\n".join(
        (
            "## Archives",
            f"{result.plan.recordings} FLAC files of {mix(result.plan.mix)}, "
            f"{result.audio_seconds:.0f} s in all, {result.plan.rounds} rounds in turn, "
            "emotion2vec+ large; loading is not counted, which a loop that dies pays anew. `score` "
            "reads, sends, decodes in a process apart, keeps its journal and writes the table; its "
            "own start counts. Medians of the rounds; ratios with the least and the largest.",
            table(_HEADER, [_row(result, name) for name in names]),
            f"The gain over FunASR's loop: the model, one recording at a time, {single}; decoding "
            f"and reading beside computing, and batches, {served}.",
        )
    )


def _row(result: Archives, name: str) -> list[str]:
    turns = result.of(name)
    seconds = median(turn.seconds for turn in turns)
    return [
        name,
        f"{seconds:.1f}",
        f"{result.audio_seconds / seconds:.1f}",
        f"{median(turn.cpu for turn in turns) / result.plan.recordings:.3f}",
        "" if name == FUNASR else spread(result.ratios(FUNASR, name)),
    ]
