"""The retriever: documents in, passages out, always for one tenant and its caller's groups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from services.chassis.errors import InvalidRequest, ServiceError
from services.chassis.http import Peer
from services.contracts.keys import Scope
from services.contracts.knowledge import (
    CURATOR_HEADER,
    GROUPS_HEADER,
    TENANT_HEADER,
    Collection,
    CollectionPage,
    CollectionSearch,
    Deleted,
    DocumentPage,
    DocumentReceipt,
    DocumentText,
    DocumentWrite,
    EmbeddingModel,
    EmbeddingRequest,
    EmbeddingResult,
    SearchResult,
    UploadReceipt,
)
from services.contracts.wire import Wire
from services.gateway.registry.snapshot import Caller

_Reply = TypeVar("_Reply", bound=Wire)


@dataclass(frozen=True, slots=True)
class Retriever:
    """Speaks to the retriever."""

    peer: Peer
    """For searches and single documents."""
    uploads: Peer
    """The same retriever with the patience that bulk uploads need."""

    async def search(self, caller: Caller, search: CollectionSearch) -> SearchResult:
        """Find passages."""
        return await self._call(caller, "POST", "/search", SearchResult, body=search)

    async def collections(self, caller: Caller) -> CollectionPage:
        """List the tenant's collections."""
        return await self._call(caller, "GET", "/collections", CollectionPage)

    async def collection(self, caller: Caller, name: str) -> Collection:
        """Describe one collection."""
        return await self._call(caller, "GET", _path(name), Collection)

    async def create_collection(self, caller: Caller, name: str) -> Collection:
        """Make an empty collection; one that is there stays as it is."""
        return await self._call(caller, "PUT", _path(name), Collection)

    async def delete_collection(self, caller: Caller, name: str) -> Deleted:
        """Delete a collection with its documents."""
        return await self._call(caller, "DELETE", _path(name), Deleted)

    async def documents(
        self, caller: Caller, collection: str, params: Mapping[str, str]
    ) -> DocumentPage:
        """List one page of a collection's documents."""
        path = _path(collection, "documents")
        return await self._call(caller, "GET", path, DocumentPage, params=params)

    async def document(self, caller: Caller, collection: str, id_: str) -> DocumentText:
        """Read a document with its text."""
        return await self._call(caller, "GET", _path(collection, "documents", id_), DocumentText)

    async def put_document(
        self, caller: Caller, collection: str, id_: str, write: DocumentWrite
    ) -> DocumentReceipt:
        """Create or replace a document."""
        path = _path(collection, "documents", id_)
        return await self._call(caller, "PUT", path, DocumentReceipt, body=write)

    async def delete_document(self, caller: Caller, collection: str, id_: str) -> Deleted:
        """Delete a document with its passages."""
        return await self._call(caller, "DELETE", _path(collection, "documents", id_), Deleted)

    async def upload(
        self, caller: Caller, collection: str, content_type: str, body: AsyncIterator[bytes]
    ) -> UploadReceipt:
        """Pass a multipart upload on piece by piece; it is never whole in memory.

        Raises:
            InvalidRequest: `upload_aborted` when the caller broke it off.
        """
        payload = await self.relay(caller, _path(collection, "files"), content_type, body)
        return UploadReceipt.received(payload)

    async def relay(
        self, caller: Caller, path: str, content_type: str, body: AsyncIterator[bytes]
    ) -> bytes:
        """Pass a body on piece by piece, and return the whole reply.

        Raises:
            InvalidRequest: `upload_aborted` when the caller broke it off.
        """
        relay = _Relay(body)
        try:
            async with self.uploads.stream(
                "POST",
                path,
                data=relay,
                content_type=content_type,
                headers=identity_headers(caller),
            ) as reply:
                return await reply.read()
        except ServiceError:
            if relay.failure is None:
                raise
            raise relay.failure from None

    async def embed(self, caller: Caller, request: EmbeddingRequest) -> EmbeddingResult:
        """Turn texts into vectors."""
        return await self._call(caller, "POST", "/embeddings", EmbeddingResult, body=request)

    async def embedding_model(self, caller: Caller) -> EmbeddingModel:
        """Describe the model that searches use."""
        return await self._call(caller, "GET", "/embeddings/model", EmbeddingModel)

    async def _call(
        self,
        caller: Caller,
        method: str,
        path: str,
        reply: type[_Reply],
        *,
        body: BaseModel | None = None,
        params: Mapping[str, str] | None = None,
    ) -> _Reply:
        sent: Any = None if body is None else body.model_dump(mode="json")
        got = await self.peer.json(
            method, path, body=sent, headers=identity_headers(caller), params=params
        )
        return reply.received(got)


@dataclass(slots=True)
class _Relay:
    """A body on its way through, which remembers why it broke: the HTTP client hides the cause."""

    body: AsyncIterator[bytes]
    failure: Exception | None = field(default=None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self.body:
                if piece:
                    yield piece
        except ClientDisconnect as error:
            self.failure = InvalidRequest(
                "The upload broke off before its end; send it again.", code="upload_aborted"
            )
            raise self.failure from error
        except Exception as error:
            self.failure = error
            raise


def _path(collection: str, *parts: str) -> str:
    return "/".join(("/collections", *(quote(part, safe="") for part in (collection, *parts))))


def identity_headers(caller: Caller) -> dict[str, str]:
    """Say on whose behalf a call is made."""
    groups = ",".join(quote(group, safe="") for group in caller.groups)
    curator = caller.may(Scope.KNOWLEDGE) and not caller.for_end_user
    return {
        TENANT_HEADER: quote(caller.tenant, safe=""),
        GROUPS_HEADER: groups,
        CURATOR_HEADER: "yes" if curator else "no",
    }
