"""Many files into a collection at once; a bad file fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from services.chassis.errors import ServiceError
from services.contracts.knowledge import (
    DocumentId,
    DocumentWrite,
    FileOutcome,
    Scalar,
    UploadReceipt,
)
from services.retriever.catalogue.records import Place, canonical_id
from services.retriever.chunking import PageStart
from services.retriever.metrics import Metrics
from services.retriever.parsing.outcomes import FileCode, Refused
from services.retriever.parsing.parser import Parser
from services.retriever.rooms import Rooms

FILES_AT_ONCE = 4
"""Files of one upload that are read and indexed at the same time."""

_ID: TypeAdapter[str] = TypeAdapter(DocumentId)


@dataclass(frozen=True, slots=True)
class Label:
    """What an upload says of its files."""

    id_prefix: str = ""
    """Goes before the name of each."""
    document_id: str | None = None
    """The id of an upload's only file, instead of its name."""
    metadata: dict[str, Scalar | list[Scalar]] = field(default_factory=dict)
    """Of every file."""

    def id_of(self, name: str) -> str:
        """Name the document that a file becomes."""
        return canonical_id(self.document_id or self.id_prefix + name)


@dataclass(frozen=True, slots=True)
class Uploader:
    """Reads files and writes them as documents."""

    parser: Parser
    rooms: Rooms
    metrics: Metrics

    async def upload(
        self, tenant: str, collection: str, files: Sequence[UploadFile], label: Label
    ) -> UploadReceipt:
        """Store each file as a document, in the order they were sent."""
        ids = [label.id_of(bare_name(file.filename or "")) for file in files]
        turns = asyncio.Semaphore(FILES_AT_ONCE)

        async def one(at: int, file: UploadFile) -> FileOutcome:
            async with turns:
                if ids[at] in ids[:at]:
                    repeated = "Another file of this upload has the same name; rename one."
                    outcome = _failed(file, ids[at], FileCode.NAME_REPEATED, repeated)
                else:
                    outcome = await self._store(Place(tenant, collection, ids[at]), file, label)
                self.metrics.files.labels(outcome.code or outcome.outcome).inc()
                return outcome

        outcomes = await asyncio.gather(*(one(at, file) for at, file in enumerate(files)))
        failed = sum(outcome.outcome == "failed" for outcome in outcomes)
        return UploadReceipt(collection=collection, files=list(outcomes), failed=failed)

    async def _store(self, place: Place, file: UploadFile, label: Label) -> FileOutcome:
        try:
            _ID.validate_python(place.id)
        except ValidationError:
            message = "The file's name cannot be a document's id; rename it."
            return _failed(file, place.id, FileCode.NAME_INVALID, message)
        sent = canonical_id(bare_name(file.filename or ""))
        name = place.id if label.document_id is None else sent
        parsed = await self.parser.parse(name, await file.read())
        if isinstance(parsed, Refused):
            return _failed(file, place.id, parsed.code, parsed.message)
        document = DocumentWrite(text=parsed.text, title=parsed.title, metadata=label.metadata)
        pages = [PageStart(page, start) for page, start in parsed.pages]
        try:
            receipt = await self.rooms.write(place, document, pages)
        except ServiceError as error:
            return _failed(file, place.id, error.code, error.message)
        return FileOutcome(
            filename=file.filename or "",
            document_id=place.id,
            outcome=receipt.outcome,
            chunks=receipt.chunks,
        )


def bare_name(filename: str) -> str:
    """Drop the folders that some clients send."""
    return PurePosixPath(filename.replace("\\", "/")).name


def _failed(file: UploadFile, document_id: str, code: str, message: str) -> FileOutcome:
    return FileOutcome(
        filename=file.filename or "",
        document_id=document_id,
        outcome="failed",
        code=code,
        message=message,
    )
