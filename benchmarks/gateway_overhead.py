"""What the gateway adds to a request: an upstream called directly and through it, in the same run.

The gateway is a process of its own with everything on: keys, admission, metrics, the ledger, the
log. Beside it stands a proxy on the same stack that does nothing. The ways take turns, so that a
busy machine slows them all: trust the differences and the ratios. What is measured has one core;
upstream and clients share another.

    python benchmarks/gateway_overhead.py [--rounds 5] [--seconds 2] [--litellm PATH]

With `--litellm`, the `litellm` command of an environment with `litellm[proxy]`, that proxy is
measured beside them, with one worker as the gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop
from loopback.client import Measured, Server, run
from loopback.ports import free_port, wait_for_port

from services.chassis.credentials import new_api_key, new_key_id

HERE = Path(__file__).parent / "loopback"
ADDED_MS_BAR = 0.6
DELAY_P99_MS_BAR = 5.0
PEER_BAR = 20
CLIENTS = 64
_CORES = sorted(os.sched_getaffinity(0))
_MEASURED_CORE, _OTHERS_CORE = _CORES[0], _CORES[-1]
"""What is measured has a core of its own; upstream and clients share the other."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Way:
    """One way to the upstream, and what it gave."""

    server: Server
    process: int
    """Whose CPU time is counted."""
    alone: Measured = field(default_factory=Measured)
    many: Measured = field(default_factory=Measured)
    streams: Measured = field(default_factory=Measured)
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of a request, by round."""
    token_cpu: list[float] = field(default_factory=list)
    """CPU seconds of a streamed token, by round."""

    async def measure(self, seconds: float) -> None:
        """Measure one round."""
        self.alone.add(await run(self.server, clients=1, seconds=seconds))
        before = _cpu_seconds(self.process)
        many = await run(self.server, clients=CLIENTS, seconds=seconds)
        self.cpu.append((_cpu_seconds(self.process) - before) / many.requests)
        self.many.add(many)
        before = _cpu_seconds(self.process)
        streams = await run(self.server, clients=CLIENTS, seconds=seconds, stream=True)
        self.token_cpu.append((_cpu_seconds(self.process) - before) / len(streams.delays))
        self.streams.add(streams)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--litellm", type=Path, help="the command of LiteLLM's proxy")
    options = parser.parse_args()
    uvloop.run(_measure(options.rounds, options.seconds, options.litellm))


async def _measure(rounds: int, seconds: float, litellm: Path | None) -> None:
    os.sched_setaffinity(0, {_OTHERS_CORE})
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream, upstream_pid = stack.enter_context(_upstream())
        bare, bare_pid = stack.enter_context(_bare(upstream))
        gateway, gateway_pid, key = await stack.enter_async_context(_gateway(folder, upstream))
        direct = Way(Server("direct", upstream, "base", "engine-key"), upstream_pid)
        ways = [
            direct,
            Way(Server("bare proxy", bare, "base", "engine-key"), bare_pid),
            Way(Server("gateway", gateway, "bench", key), gateway_pid),
        ]
        if litellm is not None:
            peer, peer_pid, peer_key = stack.enter_context(_litellm(litellm, folder, upstream))
            ways.append(Way(Server("LiteLLM", peer, "bench", peer_key), peer_pid))
        for way in ways:
            await run(way.server, clients=8, seconds=1)
        for _ in range(rounds):
            for way in ways:
                await way.measure(seconds)
    _print(ways)


def _print(ways: list[Way]) -> None:
    print(f"{'':38}" + "".join(f"{way.server.name:>22}" for way in ways))

    def row(name: str, values: list[float], unit: str) -> None:
        shown = (f"{value:12.3f} {value / values[0]:7.2f}x" for value in values)
        print(f"{name:38}" + "".join(f"{text:>22}" for text in shown) + f"  {unit}")

    for share, name in ((0.1, "p10"), (0.5, "p50"), (0.99, "p99")):
        row(f"1 client, {name}", [_quantile(way.alone.times, share) for way in ways], "ms")
    row(f"{CLIENTS} clients", [way.many.rate for way in ways], "requests/s")
    row(f"{CLIENTS} clients, CPU", [statistics.median(way.cpu) * 1e6 for way in ways], "us/request")
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        delays = [_quantile(way.streams.delays, share) for way in ways]
        row(f"{CLIENTS} streams, token delay, {name}", delays, "ms")
    tokens = [len(way.streams.delays) / way.streams.seconds for way in ways]
    row(f"{CLIENTS} streams", tokens, "tokens/s")
    token_cpu = [statistics.median(way.token_cpu) * 1e6 for way in ways]
    row(f"{CLIENTS} streams, CPU", token_cpu, "us/token")

    direct, bare, gateway = (_quantile(way.alone.times, 0.5) for way in ways[:3])
    print(f"\nadded median at 1 client: {gateway - direct:.3f} ms (bar {ADDED_MS_BAR} ms),")
    print(f"of which a proxy that does nothing takes {bare - direct:.3f} ms")
    delay = _quantile(ways[2].streams.delays, 0.99)
    print(f"token delay p99 at 6,400 tokens/s: {delay:.3f} ms (bar {DELAY_P99_MS_BAR} ms)")
    for peer in ways[3:]:
        times = ways[2].many.rate / peer.many.rate
        print(
            f"{CLIENTS} clients: {times:.1f}x the requests of {peer.server.name} (bar {PEER_BAR}x)"
        )


def _quantile(values: list[float], share: float) -> float:
    """Read a quantile in milliseconds."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def _running(
    *command: str, core: int, environment: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    output = log.open("wb") if log else None
    process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _upstream() -> Iterator[tuple[int, int]]:
    port = free_port()
    with _running(
        sys.executable, str(HERE / "upstream.py"), str(port), core=_OTHERS_CORE
    ) as process:
        wait_for_port(port, process)
        yield port, process.pid


@contextlib.contextmanager
def _bare(upstream: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = (sys.executable, str(HERE / "bare.py"), str(port), str(upstream))
    with _running(*command, core=_MEASURED_CORE) as process:
        wait_for_port(port, process)
        yield port, process.pid


@contextlib.contextmanager
def _litellm(command: Path, folder: Path, upstream: int) -> Iterator[tuple[int, int, str]]:
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list: [{model_name: bench, litellm_params: {model: openai/base, api_key: engine-key,"
        f" api_base: 'http://127.0.0.1:{upstream}/v1'}}}}]\n"
    )
    key = new_api_key(new_key_id())
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": f"sk-{key}",
    }
    log = folder / "litellm.log"
    served = (str(command), "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
    with _running(*served, core=_MEASURED_CORE, environment=environment, log=log) as process:
        wait_for_port(port, process)
        yield port, process.pid, f"sk-{key}"


@contextlib.asynccontextmanager
async def _gateway(folder: Path, upstream: int) -> AsyncIterator[tuple[int, int, str]]:
    """Run a gateway with one replica and one assistant; yields port, process and key."""
    keys = {name: new_api_key(new_key_id()) for name in ("admin", "app", "agent")}
    (folder / "keys").mkdir()
    for name, key in keys.items():
        (folder / "keys" / f"{name}.key").write_text(key)
    port = free_port()
    environment = {
        **os.environ,
        "INKSTONE_GATEWAY_LISTENING__PORT": str(port),
        "INKSTONE_GATEWAY_DATA_DIR": str(folder / "data"),
        "INKSTONE_GATEWAY_BOOTSTRAP_KEYS_DIR": str(folder / "keys"),
        "INKSTONE_GATEWAY_RETRIEVER_API_KEY": "unused",
        "INKSTONE_GATEWAY_ENGINE_API_KEY": "engine-key",
    }
    log = folder / "gateway.log"
    command = (sys.executable, "-m", "services.gateway")
    with _running(*command, core=_MEASURED_CORE, environment=environment, log=log) as process:
        wait_for_port(port, process)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await _report(session, upstream, keys["agent"])
            beating = asyncio.create_task(_beat(session, upstream, keys["agent"]))
            try:
                await asyncio.sleep(2)
                await _bind(session, keys["admin"])
                yield port, process.pid, keys["app"]
            finally:
                beating.cancel()


async def _bind(session: aiohttp.ClientSession, key: str) -> None:
    """Make the assistant that is asked: no retrieval, no adapter."""
    headers = {"Authorization": f"Bearer {key}"}
    async with session.put("/admin/assistants/bench", json={}, headers=headers) as reply:
        reply.raise_for_status()


async def _beat(session: aiohttp.ClientSession, upstream: int, key: str) -> None:
    while True:
        await asyncio.sleep(1)
        await _report(session, upstream, key)


async def _report(session: aiohttp.ClientSession, upstream: int, key: str) -> None:
    """Be the agent of the replica that the upstream stands for."""
    report = {
        "replica": "bench",
        "endpoint": f"http://127.0.0.1:{upstream}",
        "engine": "ready",
        "engine_started_at": 1.0,
        "base_model": "base",
        "base_fingerprint": "0" * 12,
        "chat_template_hash": "0" * 12,
        "max_model_len": 4096,
        "max_loras": 1,
        "max_cpu_loras": 1,
        "max_lora_rank": 8,
        "adapters": {},
    }
    headers = {"Authorization": f"Bearer {key}"}
    async with session.post("/internal/replicas/heartbeat", json=report, headers=headers) as reply:
        reply.raise_for_status()


if __name__ == "__main__":
    main()
