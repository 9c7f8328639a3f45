"""Class labels from a FunASR token list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emotion2vec_runtime.bundle import Label

from emotion2vec_export.errors import ExportError

UNKNOWN_TOKEN = "<unk>"  # noqa: S105
UNKNOWN_LABEL = "unknown"
_MASKED_PREFIX = "unuse"


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a head: `labels[i]` is row `rows[i]` of a head that has `total` rows."""

    labels: tuple[Label, ...]
    rows: tuple[int, ...]
    total: int


def parse_tokens(tokens: Sequence[str]) -> Classes:
    """Reads tokens such as `生气/angry`, one a class.

    A token that begins with `unuse` is a class that FunASR masks out of its softmax: its label and
    its row are dropped. What stands before the last slash is the native name; a token without a
    slash is both; `<unk>` is named `unknown`.

    Raises:
        ExportError: a token is empty, none is left, or two classes come out with the same name
            (callers choose labels by name, so one of them has to be renamed).
    """
    labels: list[Label] = []
    rows: list[int] = []
    seen: dict[str, str] = {}
    for row, token in enumerate(tokens):
        if token.startswith(_MASKED_PREFIX):
            continue
        label = _label(token, row)
        if label.name in seen:
            raise ExportError(
                f"tokens {seen[label.name]!r} and {token!r} both name the class {label.name!r}; "
                "rename one of them in the token list"
            )
        seen[label.name] = token
        labels.append(label)
        rows.append(row)
    if not labels:
        raise ExportError("the token list names no class that is in use; add its labels")
    return Classes(tuple(labels), tuple(rows), len(tokens))


def _label(token: str, row: int) -> Label:
    if token == UNKNOWN_TOKEN:
        return Label(name=UNKNOWN_LABEL, native_name=token)
    native, _, name = token.strip().rpartition("/")
    name = name.strip().lower()
    if not name:
        raise ExportError(f"line {row + 1} of the token list has no label; give the class a name")
    return Label(name=name, native_name=native.strip() or token.strip())
