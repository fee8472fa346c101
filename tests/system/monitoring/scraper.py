"""A real Prometheus that scrapes an installation every second, with our own rules."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml

from tests.ports import free_port
from tests.prometheus import PROMETHEUS
from tests.system.monitoring.processes import process, until_answered

ALERTS = Path(__file__).parents[3] / "deploy" / "alerts"


@dataclass(frozen=True, slots=True)
class Scraper:
    """Answers PromQL."""

    session: aiohttp.ClientSession
    url: str

    async def values(self, expression: str) -> list[float]:
        """Ask for the present values of an expression; what is not a number is left out."""
        query = expression.replace("$__rate_interval", "10s").replace("$assistant", ".*")
        async with self.session.get(self.url + "/api/v1/query", params={"query": query}) as reply:
            body = await reply.json()
        assert body["status"] == "success", (query, body)
        found = [float(one["value"][1]) for one in body["data"]["result"]]
        return [value for value in found if not math.isnan(value)]

    async def healthy_rules(self) -> dict[str, str]:
        """The health of every rule by its name."""
        async with self.session.get(self.url + "/api/v1/rules") as reply:
            groups = (await reply.json())["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


@contextlib.asynccontextmanager
async def scraper(
    folder: Path, session: aiohttp.ClientSession, targets: Mapping[str, str]
) -> AsyncIterator[Scraper]:
    """Run Prometheus over targets, by job."""
    assert PROMETHEUS is not None
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
        "rule_files": [str(ALERTS / "recordings.yml"), str(ALERTS / "alerts.yml")],
        "scrape_configs": [
            {"job_name": f"inkstone-{job}", "static_configs": [{"targets": [_host(url)]}]}
            for job, url in targets.items()
        ],
    }
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(json.loads(json.dumps(configuration))))
    url = f"127.0.0.1:{free_port()}"
    command = (
        PROMETHEUS,
        f"--config.file={written}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={url}",
    )
    async with process(folder / "prometheus.log", *command):
        await until_answered(session, f"http://{url}/-/ready")
        yield Scraper(session, f"http://{url}")


def _host(url: str) -> str:
    return url.removeprefix("http://")
