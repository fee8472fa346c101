"""The retriever on a loopback port, with its real index and a hashing embedder."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr

from services.contracts.knowledge import CURATOR_HEADER, GROUPS_HEADER, TENANT_HEADER
from services.retriever.app import create_app
from services.retriever.embedding import Embedder
from services.retriever.resources import Resources
from services.retriever.settings import Settings
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.loopback import running

API_KEY = "the-key-between-gateway-and-retriever"


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a decoded body."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The error's code."""
        assert self.status >= 400, self.body
        code: str = self.body["error"]["code"]
        return code

    @property
    def passages(self) -> list[str]:
        """The texts that a search found, best first."""
        assert self.status == 200, self.body
        return [passage["text"] for passage in self.body["data"]]


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks as the gateway does."""

    session: aiohttp.ClientSession
    url: str
    tenant: str = "acme"
    groups: tuple[str, ...] = ()
    curator: bool = True
    api_key: str = API_KEY

    def acting_for(self, tenant: str) -> Client:
        """The same gateway, on behalf of another tenant."""
        return replace(self, tenant=tenant, groups=())

    @property
    def neighbour(self) -> Client:
        """The same gateway, on behalf of a tenant that only this test knows."""
        return self.acting_for(f"{self.tenant}'s neighbour")

    def in_groups(self, *groups: str) -> Client:
        """The same tenant, on behalf of somebody in these groups."""
        return replace(self, groups=groups)

    @property
    def headers(self) -> dict[str, str]:
        """Who is asking."""
        return {
            "Authorization": f"Bearer {self.api_key}",
            TENANT_HEADER: quote(self.tenant, safe=""),
            GROUPS_HEADER: ",".join(quote(group, safe="") for group in self.groups),
            CURATOR_HEADER: "yes" if self.curator else "no",
        }

    async def call(
        self, method: str, path: str, body: Any = None, data: Any = None, **params: str
    ) -> Reply:
        """Send a request."""
        async with self.session.request(
            method, self.url + path, json=body, data=data, headers=self.headers, params=params
        ) as reply:
            return Reply(reply.status, await reply.json())

    async def put(self, document: str, text: str, collection: str = "docs", **fields: Any) -> Reply:
        """Write a document."""
        path = f"/collections/{collection}/documents/{quote(document, safe='')}"
        return await self.call("PUT", path, {"text": text, **fields})

    async def search(self, query: str, *collections: str, **fields: Any) -> Reply:
        """Search."""
        body = {"query": query, "collections": list(collections or ("docs",)), **fields}
        return await self.call("POST", "/search", body)

    async def upload(
        self, files: Sequence[tuple[str, bytes]], collection: str = "docs", **fields: str
    ) -> Reply:
        """Upload files."""
        form = aiohttp.FormData(quote_fields=False)
        for name, content in files:
            form.add_field("files", content, filename=name)
        for name, value in fields.items():
            form.add_field(name, value)
        return await self.call("POST", f"/collections/{collection}/files", data=form)

    async def metric(self, sample: str) -> float:
        """Read one sample of the metrics, by its full text; 0 when it is not there."""
        async with self.session.get(f"{self.url}/metrics") as reply:
            lines = (await reply.text()).splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(sample + " ")), 0)


@dataclass(frozen=True, slots=True)
class RetrieverUnderTest:
    """A running retriever and what it runs on."""

    client: Client
    resources: Resources
    embedder: HashingEmbedder


@dataclass(frozen=True, slots=True)
class Stores:
    """What several retrievers share: a catalogue, an index, and the files that wait."""

    catalogue_url: str
    qdrant_url: str
    spool_dir: Path

    @property
    def arguments(self) -> tuple[str, ...]:
        """What tells a process of its own."""
        return ("share", self.catalogue_url, self.qdrant_url, str(self.spool_dir))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that name them."""
        return {
            "catalogue_url": SecretStr(self.catalogue_url),
            "qdrant_url": self.qdrant_url,
            "spool_dir": self.spool_dir,
        }


def settings_for(folder: Path, **values: Any) -> Settings:
    """Settings with their state in one folder."""
    return Settings(api_key=SecretStr(API_KEY), data_dir=folder, **values)


@contextlib.asynccontextmanager
async def retriever_on(
    folder: Path,
    embedder: Embedder | None = None,
    previous_embedder: Embedder | None = None,
    **values: Any,
) -> AsyncIterator[RetrieverUnderTest]:
    """Run a retriever whose state lies in a folder, to be started there again."""
    chosen = embedder or HashingEmbedder()
    app = create_app(
        settings_for(folder, **values), embedder=chosen, previous_embedder=previous_embedder
    )
    async with running(app) as url, aiohttp.ClientSession() as session:
        assert isinstance(chosen, HashingEmbedder)
        yield RetrieverUnderTest(Client(session, url), app.state.resources, chosen)
