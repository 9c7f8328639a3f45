"""Why a server can't be reached: gRPC's reason in words, with the way out.

gRPC tells mistakes with TLS in the words of its TLS library, or as a socket that was closed. The
words are those of grpcio 1.74 to 1.85; others are passed on as they are.
"""

from __future__ import annotations

import re

_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED: (.+?)(: OK)?$")
_OTHER_NAME = ("Hostname Verification Check failed", "is not in peer certificate")
# After this, the text is about a connection that never came about; of one that broke later, gRPC
# says the same without it.
_NEVER_CONNECTED = "last error: "
_HUNG_UP = ("Socket closed", "Connection reset by peer", "Broken pipe")


def explain(details: str, server: str, *, secure: bool) -> str:
    """One sentence about `server`.

    Args:
        details: what gRPC says of a call that ended as UNAVAILABLE.
        server: as the caller named it.
        secure: whether the connection was to use TLS.
    """
    if untrusted := _UNTRUSTED.search(details):
        return (
            f"the certificate of {server} is not trusted ({untrusted[1]}); if an authority of its "
            "own has signed it, name that (--tls-ca, or root_certificates=)"
        )
    if any(words in details for words in _OTHER_NAME):
        return f"the certificate of {server} is for other names; call it by one of those"
    if "WRONG_VERSION_NUMBER" in details:
        return f"{server} does not speak TLS; call it without (no --tls, or secure=False)"
    if "Failed to create security handshaker" in details:
        return "TLS can't begin: a certificate or key is broken, or they don't belong together"
    if _NEVER_CONNECTED in details and details.endswith(_HUNG_UP):
        return f"{server} hangs up at once; {_wish(secure=secure)}"
    reason = details.rpartition(": ")[2].rstrip(".]")
    return f"can't reach emotion2vec-server at {server} ({reason}); is it running there?"


def _wish(*, secure: bool) -> str:
    """What a server that hangs up may have wanted instead."""
    if secure:
        return (
            "does it want a certificate of the client that it trusts (--tls-cert and --tls-key, "
            "or client_certificate= and client_key=)?"
        )
    return "does it want TLS (--tls, or secure=True)?"
