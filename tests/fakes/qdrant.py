"""A Qdrant server over HTTP for tests: the calls that the retriever makes, on qdrant-client's local
mode. It has no graphs, shards, copies or disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from qdrant_client import AsyncQdrantClient, models

from tests.fakes.loopback import running

VERSION = "1.20.0"

Body = TypeVar("Body", bound=BaseModel)


class FakeQdrant:
    """One server; its collections go with it."""

    def __init__(self) -> None:
        self._client = AsyncQdrantClient(":memory:")
        self.app = FastAPI()
        routes = (
            ("GET", "/", self._version),
            ("GET", "/collections/{name}/exists", self._exists),
            ("PUT", "/collections/{name}", self._create),
            ("DELETE", "/collections/{name}", self._drop),
            ("PUT", "/collections/{name}/index", self._index),
            ("PUT", "/collections/{name}/points", self._upsert),
            ("POST", "/collections/{name}/points/delete", self._delete),
            ("POST", "/collections/{name}/points/count", self._count),
            ("POST", "/collections/{name}/facet", self._facet),
            ("POST", "/collections/{name}/points", self._retrieve),
            ("POST", "/collections/{name}/points/query/batch", self._query),
        )
        for method, path, answer in routes:
            self.app.add_api_route(path, answer, methods=[method], response_model=None)

    async def _version(self) -> dict[str, str]:
        return {"title": "a stand-in of Qdrant", "version": VERSION}

    async def _exists(self, name: str) -> JSONResponse:
        return _result({"exists": await self._client.collection_exists(name)})

    async def _create(self, name: str, request: Request) -> JSONResponse:
        if await self._client.collection_exists(name):
            taken = {"error": f"Wrong input: Collection `{name}` already exists!"}
            return JSONResponse({"status": taken, "time": 0.0}, 409)
        wanted = await _body(request, models.CreateCollection)
        await self._client.create_collection(
            name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
        )
        return _result(True)

    async def _drop(self, name: str) -> JSONResponse:
        return _result(await self._client.delete_collection(name))

    async def _index(self, name: str) -> JSONResponse:
        return _done()

    async def _upsert(self, name: str, request: Request) -> JSONResponse:
        sent = await _body(request, models.PointsList)
        await self._client.upsert(name, sent.points)
        return _done()

    async def _delete(self, name: str, request: Request) -> JSONResponse:
        await self._client.delete(name, await _body(request, models.FilterSelector))
        return _done()

    async def _count(self, name: str, request: Request) -> JSONResponse:
        asked = await _body(request, models.CountRequest)
        return _result(await self._client.count(name, asked.filter, exact=True))

    async def _facet(self, name: str, request: Request) -> JSONResponse:
        asked = await _body(request, models.FacetRequest)
        facet = await self._client.facet(name, asked.key, limit=asked.limit or 10, exact=True)
        return _result(facet)

    async def _retrieve(self, name: str, request: Request) -> JSONResponse:
        asked = await _body(request, models.PointRequest)
        records = await self._client.retrieve(
            name,
            asked.ids,
            with_payload=asked.with_payload or False,
            with_vectors=asked.with_vector or False,
        )
        return _result(records)

    async def _query(self, name: str, request: Request) -> JSONResponse:
        asked = await _body(request, models.QueryRequestBatch)
        return _result(await self._client.query_batch_points(name, asked.searches))


async def _body(request: Request, model: type[Body]) -> Body:
    return model.model_validate_json(await request.body())


def _done() -> JSONResponse:
    return _result({"operation_id": 0, "status": "completed"})


def _result(result: Any) -> JSONResponse:
    return JSONResponse({"result": _plain(result), "status": "ok", "time": 0.0})


def _plain(result: Any) -> Any:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    return [_plain(one) for one in result] if isinstance(result, list) else result


@contextlib.contextmanager
def qdrant_server() -> Iterator[str]:
    """Serve a stand-in from a thread of its own: the client asks for its version without a loop."""
    started: list[str] = []
    up, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with running(FakeQdrant().app) as url:
            started.append(url)
            up.set()
            await asyncio.to_thread(stop.wait)

    def work() -> None:
        try:
            asyncio.run(serve())
        finally:
            up.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        up.wait()
        yield started[0]
    finally:
        stop.set()
        thread.join()
