"""What the gateway adds to a request: an upstream called directly and through it, in the same run.

The gateway is a process of its own with everything on: keys, admission, metrics, the ledger. The
two ways take turns, so that a busy machine slows both; trust the differences and the ratios.

    python benchmarks/gateway_overhead.py [--rounds 5] [--seconds 2]
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
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import uvloop
from loopback.client import Measured, Server, run

from services.chassis.credentials import new_api_key, new_key_id

HERE = Path(__file__).parent
ADDED_MS_BAR = 0.6
DELAY_P99_MS_BAR = 5.0
CLIENTS = 64
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    uvloop.run(_measure(options.rounds, options.seconds))


async def _measure(rounds: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder, _upstream() as upstream_port:
        async with _gateway(Path(folder), upstream_port) as (port, pid, key):
            direct = Server("direct", upstream_port, "base", "engine-key")
            through = Server("gateway", port, "bench", key)
            for server in (direct, through):
                await run(server, clients=8, seconds=1)
            alone, many, streams, cpu = {}, {}, {}, []
            for server in (direct, through):
                alone[server.name], many[server.name], streams[server.name] = (
                    Measured(),
                    Measured(),
                    Measured(),
                )
            for _ in range(rounds):
                for server in (direct, through):
                    _add(alone, server, await run(server, clients=1, seconds=seconds))
                for server in (direct, through):
                    before, runs = _cpu_seconds(pid), await run(
                        server, clients=CLIENTS, seconds=seconds
                    )
                    _add(many, server, runs)
                    if server is through:
                        cpu.append((_cpu_seconds(pid) - before) / runs.requests)
                for server in (direct, through):
                    _add(
                        streams, server, await run(server, clients=CLIENTS, seconds=seconds, stream=True)
                    )
            _print(alone, many, streams, statistics.median(cpu))


def _add(table: dict[str, Measured], server: Server, runs: Measured) -> None:
    total = table[server.name]
    total.requests += runs.requests
    total.seconds += runs.seconds
    total.times += runs.times
    total.delays += runs.delays


def _print(
    alone: dict[str, Measured],
    many: dict[str, Measured],
    streams: dict[str, Measured],
    cpu: float,
) -> None:
    def row(name: str, direct: float, gateway: float, unit: str) -> None:
        print(f"{name:44} {direct:10.3f} {gateway:10.3f} {gateway / direct:8.2f}x  {unit}")

    def quantile(values: list[float], share: float) -> float:
        return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000

    print(f"{'':44} {'direct':>10} {'gateway':>10} {'ratio':>9}")
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        direct, gateway = (quantile(alone[n].times, share) for n in ("direct", "gateway"))
        row(f"one client, whole answer, {name}", direct, gateway, "ms")
    rates = [many[n].requests / many[n].seconds for n in ("direct", "gateway")]
    row(f"{CLIENTS} clients, whole answers", rates[0], rates[1], "requests/s")
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        direct, gateway = (quantile(streams[n].delays, share) for n in ("direct", "gateway"))
        row(f"{CLIENTS} streams, delay of a token, {name}", direct, gateway, "ms")
    tokens = [len(streams[n].delays) / streams[n].seconds for n in ("direct", "gateway")]
    row(f"{CLIENTS} streams, tokens", tokens[0], tokens[1], "tokens/s")
    print(f"{'gateway, CPU of a request':44} {'':10} {cpu * 1e6:10.0f} {'':9}  us")

    added = quantile(alone["gateway"].times, 0.5) - quantile(alone["direct"].times, 0.5)
    delay = quantile(streams["gateway"].delays, 0.99)
    for name, value, bar in (
        ("added median at one client", added, ADDED_MS_BAR),
        ("token delay p99", delay, DELAY_P99_MS_BAR),
    ):
        print(f"{name}: {value:.3f} ms, bar {bar} ms: {'met' if value <= bar else 'MISSED'}")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def _upstream() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, str(HERE / "loopback" / "upstream.py")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def _gateway(folder: Path, upstream_port: int) -> AsyncIterator[tuple[int, int, str]]:
    """Run a gateway with one replica and one assistant; yields port, process and key."""
    keys = {name: new_api_key(new_key_id()) for name in ("admin", "app", "agent")}
    (folder / "keys").mkdir()
    for name, key in keys.items():
        (folder / "keys" / f"{name}.key").write_text(key)
    port = _free_port()
    environment = {
        **os.environ,
        "INKSTONE_GATEWAY_LISTENING__PORT": str(port),
        "INKSTONE_GATEWAY_DATA_DIR": str(folder / "data"),
        "INKSTONE_GATEWAY_BOOTSTRAP_KEYS_DIR": str(folder / "keys"),
        "INKSTONE_GATEWAY_RETRIEVER_API_KEY": "unused",
        "INKSTONE_GATEWAY_ENGINE_API_KEY": "engine-key",
    }
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.gateway"], env=environment, stderr=log, stdout=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await _answering(url, process, folder / "gateway.log")
            async with aiohttp.ClientSession() as session:
                beating = asyncio.create_task(_beat(session, url, upstream_port, keys["agent"]))
                await asyncio.sleep(1)
                headers = {"Authorization": f"Bearer {keys['admin']}"}
                bind = session.put(f"{url}/admin/assistants/bench", json={}, headers=headers)
                async with bind as reply:
                    reply.raise_for_status()
                yield port, process.pid, keys["app"]
                beating.cancel()
        finally:
            process.terminate()
            process.wait()


async def _answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{url}/healthz", timeout=1).close()
            return
        if process.poll() is not None:
            raise RuntimeError(f"the gateway did not start:\n{log.read_text()}")
        await asyncio.sleep(0.1)
    raise RuntimeError("the gateway did not answer within a minute")


async def _beat(session: aiohttp.ClientSession, url: str, upstream_port: int, key: str) -> None:
    report = {
        "replica": "bench",
        "endpoint": f"http://127.0.0.1:{upstream_port}",
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
    while True:
        beat = session.post(f"{url}/internal/replicas/heartbeat", json=report, headers=headers)
        async with beat as reply:
            reply.raise_for_status()
        await asyncio.sleep(1)


def _free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
