"""Which processes make the local stack, and the environment that joins them."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from services.cli.failures import CommandError
from services.cli.home import Home


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each process listens, all on loopback."""

    gateway: int
    retriever: int
    generator: int
    tuner: int
    engine: int


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process of the stack."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    ready_url: str


class PortTakenError(CommandError):
    """The gateway's port belongs to another process."""


def choose_ports(gateway: int) -> Ports:
    """Take the wanted port for the gateway and free ones for the rest.

    Raises:
        PortTakenError: when something already listens on the gateway's port.
    """
    if not _is_free(gateway):
        raise PortTakenError(
            f"Port {gateway} is taken; stop what listens there or set INKSTONE_PORT to another."
        )
    held = [socket.socket() for _ in range(4)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        free = [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
    return Ports(gateway, *free)


def plan(home: Home, ports: Ports, *, base: Path | str, examples: Path | None) -> list[ProcessPlan]:
    """Say what to start, in this order.

    Args:
        home: where all state lies.
        ports: where the processes listen.
        base: the base model's prepared folder, or its hub id.
        examples: a folder from which adapters may be registered by path.
    """
    gateway_url = f"http://127.0.0.1:{ports.gateway}"
    retriever_url = f"http://127.0.0.1:{ports.retriever}"
    shared = {"TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    return [
        _process(
            "retriever",
            ports.retriever,
            {
                **shared,
                "API_KEY": home.key("retriever"),
                "DATA_DIR": str(home.data("retriever")),
                "MODELS_DIR": str(home.models),
            },
        ),
        _process(
            "gateway",
            ports.gateway,
            {
                **shared,
                "DATA_DIR": str(home.data("gateway")),
                "BOOTSTRAP_KEYS_DIR": str(home.keys),
                "RETRIEVER_URL": retriever_url,
                "RETRIEVER_API_KEY": home.key("retriever"),
                "ENGINE_API_KEY": home.key("engine"),
                "ARTIFACTS_URL": home.artifacts_url,
                "TOKENIZER_DIR": str(base),
                **({"ADAPTER_IMPORT_DIRS": f'["{examples}"]'} if examples else {}),
            },
        ),
        _process(
            "generator",
            ports.generator,
            {
                **shared,
                "GATEWAY_URL": gateway_url,
                "API_KEY": home.key("agent"),
                "ENGINE_API_KEY": home.key("engine"),
                "ENGINE__PORT": str(ports.engine),
                "DATA_DIR": str(home.data("generator")),
                "MODELS_DIR": str(home.models),
                "ARTIFACTS_URL": home.artifacts_url,
            },
        ),
        _process(
            "tuner",
            ports.tuner,
            {
                **shared,
                "GATEWAY_URL": gateway_url,
                "API_KEY": home.key("tuner"),
                "DATA_DIR": str(home.data("tuner")),
                "MODELS_DIR": str(home.models),
                "ARTIFACTS_URL": home.artifacts_url,
            },
        ),
    ]


def _process(name: str, port: int, settings: dict[str, str]) -> ProcessPlan:
    """Prefix the settings; what the user's own environment sets wins."""
    prefix = f"INKSTONE_{name.upper()}_"
    environment = {
        key if key in ("TOKENIZERS_PARALLELISM", "PYTHONUNBUFFERED") else prefix + key: value
        for key, value in settings.items()
    }
    environment[f"{prefix}LISTENING__PORT"] = str(port)
    environment = {key: os.environ.get(key, value) for key, value in environment.items()}
    return ProcessPlan(
        name,
        (sys.executable, "-m", f"services.{name}"),
        environment,
        f"http://127.0.0.1:{port}/readyz",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
