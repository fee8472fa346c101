"""The health check of every image: does the service in this container answer where it listens?

`python healthcheck.py` asks for `/healthz`, `python healthcheck.py /readyz` for another path. It
starts every few seconds, so it reads the two settings that it needs itself instead of loading all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

DEFAULTS = {"gateway": 8000, "retriever": 8001, "generator": 8002, "tuner": 8003}
"""Where each service listens unless it is told otherwise."""

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what others set
"""The addresses that stand for all of a container's own, and one of its own for each."""

TIMEOUT_SECONDS = 4
"""How long the service may take, one second less than the check may."""


def address(service: str, environment: Mapping[str, str]) -> tuple[str, int]:
    """Say where a service listens, as its settings do: the single variables before the group."""
    given = {name.upper(): value for name, value in environment.items()}
    group = f"INKSTONE_{service.upper()}_LISTENING"
    listening = json.loads(given.get(group) or "{}")
    host = str(given.get(f"{group}__HOST", listening.get("host", "127.0.0.1")))
    port = int(given.get(f"{group}__PORT", listening.get("port", DEFAULTS[service])))
    return EVERYWHERE.get(host, host), port


def main(path: str) -> str | None:
    """Ask, and say what is wrong."""
    host, port = address(os.environ["SERVICE"], os.environ)
    connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return None if answer.status == 200 else f"{answer.status} {answer.read(2000).decode()}"
    except (OSError, HTTPException) as error:
        return f"{host}:{port} does not answer: {error}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "/healthz"))
