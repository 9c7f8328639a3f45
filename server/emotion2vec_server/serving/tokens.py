"""Bearer tokens: who may call."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from emotion2vec_runtime.errors import ConfigError

from emotion2vec_server.errors import UnauthenticatedError


class Tokens:
    """The accepted tokens."""

    def __init__(self, tokens: tuple[bytes, ...]) -> None:
        self._tokens = tokens

    def holder(self, authorization: str) -> str:
        """A name for who holds the token of an `authorization` header; it does not give it away.

        Raises:
            UnauthenticatedError: it is not `Bearer` and an accepted token.
        """
        scheme, _, token = authorization.partition(" ")
        candidate = token.strip().encode()
        # Every token is compared, in constant time: how long it takes tells nothing.
        matches = [hmac.compare_digest(candidate, known) for known in self._tokens]
        if scheme.lower() != "bearer" or not any(matches):
            raise UnauthenticatedError(
                "send a valid token as metadata: authorization: Bearer TOKEN"
            )
        return f"token:{hashlib.sha256(candidate).hexdigest()[:12]}"


def read_tokens(path: Path) -> Tokens:
    """The tokens in `path`, one a line; blank lines do not count.

    Raises:
        ConfigError: the file can't be read, holds no token, or a token that is not ASCII.
    """
    try:
        tokens = tuple(
            line.strip().encode("ascii") for line in path.read_text().splitlines() if line.strip()
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--token-file: can't read {path}: {error}") from error
    if not tokens:
        raise ConfigError(f"--token-file: {path} holds no token; write one a line")
    return Tokens(tokens)
