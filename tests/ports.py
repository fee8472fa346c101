"""Ports for processes that a test starts."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

LOWEST = 10_000
_USUAL_END = 32_768
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Find a port that nothing listens on, for a process that will.

    One that the system gives would be the next connection's as well, of whichever process, before
    ours listens; so it is one of those that the system gives to nobody.
    """
    given = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 0
    end = given if given > LOWEST else _USUAL_END
    while True:
        port = LOWEST + secrets.randbelow(end - LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
