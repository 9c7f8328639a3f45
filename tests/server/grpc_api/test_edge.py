"""Who a caller is: never a connection."""

from __future__ import annotations

import pytest
from emotion2vec_server.grpc_api.edge import address_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:50312", "ipv4:10.0.0.7"),
        ("ipv6:%5B::1%5D:50312", "ipv6:::/64"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:1", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "ipv6:fe80::/64"),
        ("ipv6:%5B::ffff:10.0.0.7%5D:1", "ipv4:10.0.0.7"),
        ("unix:/run/socket", "unix:/run/socket"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_has_no_port(peer: str, address: str) -> None:
    assert address_of(peer) == address
