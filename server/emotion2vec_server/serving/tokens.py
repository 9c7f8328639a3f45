"""Bearer tokens: who may call."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from emotion2vec_runtime.errors import ConfigError

from emotion2vec_server.errors import UnauthenticatedError

_TOKEN = re.compile(r"(?!#)[!-~]+")


class Tokens:
    """The accepted tokens, as digests: how long it takes to look one up tells nothing of them."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = frozenset(map(_digest, tokens))

    def holder(self, authorization: str) -> str:
        """A name for who holds the token of an `authorization` header; it does not give it away.

        Raises:
            UnauthenticatedError: it is not `Bearer` and an accepted token.
        """
        scheme, _, token = authorization.partition(" ")
        digest = _digest(token.strip())
        if scheme.lower() != "bearer" or digest not in self._digests:
            raise UnauthenticatedError(
                "send a valid token as metadata: authorization: Bearer TOKEN"
            )
        return f"token:{digest[:12]}"


def read_tokens(path: Path) -> Tokens:
    """The tokens in `path`, one a line; blank lines do not count.

    Raises:
        ConfigError: the file can't be read, or holds no token, or a line that can't be one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--token-file: can't read {path}: {error}") from error
    tokens = [line.strip() for line in text.splitlines() if line.strip()]
    for token in tokens:
        if not _TOKEN.fullmatch(token):
            raise ConfigError(
                f"--token-file: a line of {path} is no token: write one a line, of printable ASCII "
                "without blanks, and no comments"
            )
    if not tokens:
        raise ConfigError(f"--token-file: {path} holds no token; write one a line")
    return Tokens(tokens)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
