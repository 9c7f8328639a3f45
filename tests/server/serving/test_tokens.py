"""Who may call, and whose calls count together."""

from __future__ import annotations

from pathlib import Path

import pytest
from emotion2vec_runtime.errors import ConfigError
from emotion2vec_server.errors import UnauthenticatedError
from emotion2vec_server.serving.tokens import Tokens, read_tokens


def test_holders_are_told_apart_and_not_given_away() -> None:
    tokens = Tokens(["first-secret", "second-secret"])
    first, second = (tokens.holder(f"Bearer {name}-secret") for name in ("first", "second"))
    assert first != second
    assert first == tokens.holder("bearer  first-secret ")
    assert "secret" not in first


@pytest.mark.parametrize("header", ["", "first", "Basic first", "Bearer", "Bearer no", "Bearer é"])
def test_others_are_refused(header: str) -> None:
    with pytest.raises(UnauthenticatedError, match="Bearer TOKEN"):
        Tokens(["first"]).holder(header)


def test_a_file_of_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"\xef\xbb\xbffirst\r\n\n  second  \n")
    tokens = read_tokens(path)
    assert tokens.holder("Bearer first") != tokens.holder("Bearer second")


@pytest.mark.parametrize("text", ["", "\n \n", "# comment", "two words", "naïve", "secret # note"])
def test_a_file_that_can_not_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="token"):
        read_tokens(path)
