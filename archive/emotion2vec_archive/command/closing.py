"""What `emotion2vec score` says in the end."""

from __future__ import annotations

from emotion2vec_client.command.terminal import Terminal, shown

from emotion2vec_archive.command.finding import Found
from emotion2vec_archive.progress import Shown
from emotion2vec_archive.summary import Summary

_FAILED = 1


def close(
    summary: Summary, found: Found, files: dict[str, str], how: Shown, terminal: Terminal
) -> int:
    """Tells what a run came to; returns the exit code.

    Args:
        summary: of the table's rows.
        found: what was to be scored.
        files: what was written: what it is, and where.
        how: progress was told.
        terminal: where to.
    """
    if how is Shown.JSON:
        terminal.print_json({**summary.to_dict(found.left_out), **files})
    elif how is not Shown.NONE:
        for line in summary.sentences(found.left_out):
            terminal.print(line)
        for what, where in files.items():
            terminal.print(f"{what}: {shown(where)}")
    is_well = not (summary.failures or found.missing or found.left_out)
    return 0 if is_well else _FAILED
