"""A gateway under test: the real app on loopback, a fake retriever, keys, and clients."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from fastapi import FastAPI
from yarl import URL

from services.chassis.credentials import new_api_key, new_key_id
from services.gateway.app import create_app
from services.gateway.resources import Resources
from services.gateway.settings import Settings
from tests.fakes.agent import FakeAgent
from tests.fakes.archives import files_of, tar_gz
from tests.fakes.loopback import running
from tests.fakes.retriever import API_KEY, FakeRetriever


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        """The stable code of an error."""
        return str(self.body["error"]["code"])

    @property
    def message(self) -> str:
        """The sentence of an error."""
        return str(self.body["error"]["message"])


@dataclass(frozen=True, slots=True)
class Client:
    """A caller with a key."""

    session: aiohttp.ClientSession
    base_url: str
    key: str | None

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send one request; the path stands on the wire as it is written here."""
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = URL(self.base_url + path, encoded=True)
        async with self.session.request(
            method, url, json=json, data=data, headers={**sent, **(headers or {})}
        ) as reply:
            raw = await reply.read()
            is_json = reply.content_type == "application/json"
            body = await reply.json() if is_json else raw.decode()
            return Reply(reply.status, body, {k.lower(): v for k, v in reply.headers.items()})

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.call("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Reply:
        return await self.call("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Reply:
        return await self.call("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Reply:
        return await self.call("DELETE", path, **options)


@dataclass(frozen=True, slots=True)
class GatewayUnderTest:
    """Everything that a test of the gateway touches."""

    app: FastAPI
    base_url: str
    session: aiohttp.ClientSession
    retriever: FakeRetriever
    settings: Settings
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def resources(self) -> Resources:
        resources: Resources = self.app.state.resources
        return resources

    def client(self, key: str | None) -> Client:
        return Client(self.session, self.base_url, key)

    @property
    def admin(self) -> Client:
        return self.client(self.secrets["admin"])

    @property
    def application(self) -> Client:
        return self.client(self.secrets["app"])

    @property
    def agent(self) -> Client:
        return self.client(self.secrets["agent"])

    def replica(self, name: str = "replica-1", **fields: Any) -> FakeAgent:
        """A replica that reports to this gateway once it beats."""

        async def post(report: dict[str, Any]) -> Any:
            reply = await self.agent.post("/internal/replicas/heartbeat", json=report)
            assert reply.status == 200, reply.body
            return reply.body

        return FakeAgent(post, name=name, **fields)

    async def register(
        self, folder: Path, *, client: Client | None = None, **fields: str
    ) -> dict[str, Any]:
        """Upload an adapter folder and return the registered version."""
        reply = await upload(client or self.admin, tar_gz(files_of(folder)), fields)
        assert reply.status in (200, 201), reply.body
        return dict(reply.body)

    @property
    def neighbour(self) -> Client:
        """The operator of another tenant."""
        return self.client(self.secrets["neighbour/admin"])


async def upload(
    client: Client,
    archive: bytes,
    fields: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    """Post an archive as an operator's tool would."""
    form = aiohttp.FormData()
    form.add_field("file", archive, filename="어댑터.tar.gz", content_type="application/gzip")
    for name, value in (fields or {}).items():
        form.add_field(name, value)
    return await client.post("/admin/adapters", data=form, headers=headers)


def write_keys(folder: Path) -> dict[str, str]:
    """Write the key files of an installation with two tenants."""
    secrets = {}
    for name in ("admin", "app", "agent", "tuner", "neighbour/admin", "neighbour/app"):
        path = folder / f"{name}.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(new_api_key(new_key_id()) + "\n")
        secrets[name] = path.read_text().strip()
    return secrets


@contextlib.asynccontextmanager
async def gateway_under_test(home: Path, **settings: Any) -> AsyncIterator[GatewayUnderTest]:
    """Serve a gateway whose state lies in a folder; the same folder again is a restart."""
    secrets = write_keys(home / "keys")
    retriever = FakeRetriever()
    async with running(retriever.app) as retriever_url, aiohttp.ClientSession() as session:
        defaults = {
            "data_dir": home / "gateway",
            "bootstrap_keys_dir": home / "keys",
            "retriever_url": retriever_url,
            "retriever_api_key": API_KEY,
            "snapshot_poll_seconds": 0.02,
            "heartbeat_seconds": 0.05,
            "warm_timeout_seconds": 10.0,
        }
        made = Settings(**{**defaults, **settings})
        app = create_app(made)
        async with running(app) as base_url:
            yield GatewayUnderTest(app, base_url, session, retriever, made, secrets)


def segment(name: str) -> str:
    """Percent-encode one part of a path."""
    return quote(name, safe="")


def forget(home: Path) -> None:
    """Remove a gateway's state but keep its keys."""
    shutil.rmtree(home / "gateway", ignore_errors=True)
