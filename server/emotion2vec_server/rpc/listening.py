"""Sockets to listen on."""

from __future__ import annotations

import errno
import socket

_BACKLOG = 1024
_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of `host`, all on one port; 0 picks a free one.

    "::" takes IPv4 too. No other process can listen there as well.

    Raises:
        OSError: the host has no address here, or the port is taken on one of them.
    """
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, address in dict.fromkeys((entry[0], str(entry[4][0])) for entry in found):
            try:
                sockets.append(_listen(family, address, port))
            except OSError as error:
                # "localhost" is ::1, too, even on machines without IPv6.
                if error.errno not in _ABSENT:
                    raise
                absent = error
            else:
                port = port or sockets[0].getsockname()[1]
    except OSError:
        for opened in sockets:
            opened.close()
        raise
    if not sockets:
        raise absent or OSError(f"{host} has no address")
    return sockets


def _listen(family: int, address: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        bound.bind((address, port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
