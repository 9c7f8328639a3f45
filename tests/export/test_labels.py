from __future__ import annotations

import pytest
from emotion2vec_export.errors import ExportError
from emotion2vec_export.labels import parse_tokens
from emotion2vec_runtime.bundle import Label


def test_native_name_and_name() -> None:
    classes = parse_tokens(["生气/angry", "a/b/Calm", "bored", "<unk>"])
    assert classes.labels == (
        Label(name="angry", native_name="生气"),
        Label(name="calm", native_name="a/b"),
        Label(name="bored", native_name="bored"),
        Label(name="unknown", native_name="<unk>"),
    )
    assert classes.rows == (0, 1, 2, 3)


def test_masked_classes_are_dropped_with_their_rows() -> None:
    classes = parse_tokens(["unuse", "生气/angry", "unuse_1/angry", "<unk>"])
    assert [label.name for label in classes.labels] == ["angry", "unknown"]
    assert (classes.rows, classes.total) == ((1, 3), 4)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["生气/angry", "愤怒/Angry"], "both name the class 'angry'"),
        (["<unk>", "unknown"], "both name the class 'unknown'"),
        (["angry", ""], "line 2"),
        (["angry", "生气/"], "line 2"),
        (["unuse_0"], "no class that is in use"),
        ([], "no class that is in use"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(tokens: list[str], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        parse_tokens(tokens)
