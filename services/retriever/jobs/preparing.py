"""A job's files to documents that are ready to be stored: read, parsed, cut into chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.errors import ServiceError
from services.contracts.knowledge import DocumentWrite
from services.retriever.catalogue.job_records import Claim, Item, Settled
from services.retriever.catalogue.leases import Leases
from services.retriever.catalogue.records import Draft, Place
from services.retriever.chunking import Chunk, PageStart
from services.retriever.indexing import Indexer, draft_of
from services.retriever.jobs.spool import SegmentGoneError, Spool
from services.retriever.parsing.outcomes import FileCode, Refused
from services.retriever.parsing.parser import Parser


@dataclass(frozen=True, slots=True)
class Ready:
    """A document that is ready to be stored."""

    item: Item
    place: Place
    draft: Draft
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class Preparer:
    """Prepares one file at a time."""

    leases: Leases
    spool: Spool
    parser: Parser
    indexer: Indexer

    async def unchanged(self, claim: Claim, items: Sequence[Item]) -> dict[int, Settled]:
        """Find the items whose file is stored already, by their numbers."""
        known = await self.leases.known(claim, items)
        settled = {}
        for item in items:
            revision, chunks, file_hash = known.get(item.document_id, (0, 0, ""))
            if file_hash == claim.file_hash(item):
                settled[item.number] = Settled(item, "unchanged", chunks, revision=revision)
        return settled

    async def prepare(self, claim: Claim, item: Item) -> Ready | Settled:
        """Make a document of a file, or say why it fails."""
        assert item.segment is not None
        try:
            content = await self.spool.read(item.segment, item.offset, item.bytes)
        except SegmentGoneError:
            gone = "Its bytes were not kept that long; send it again."
            return Settled(item, "failed", code=FileCode.GONE.value, message=gone)
        parsed = await self.parser.parse(item.document_id, content)
        if isinstance(parsed, Refused):
            return Settled(item, "failed", code=parsed.code.value, message=parsed.message)
        document = DocumentWrite(
            text=parsed.text,
            title=parsed.title,
            uri=item.uri,
            metadata=claim.metadata,
            allowed_groups=claim.allowed_groups,
        )
        draft = draft_of(document, [PageStart(page, start) for page, start in parsed.pages])
        try:
            self.indexer.check_text(draft.text)
            chunks = await self.indexer.chunks_of(draft)
        except ServiceError as error:
            return Settled(item, "failed", code=error.code, message=error.message)
        place = Place(claim.tenant, claim.collection, item.document_id)
        return Ready(item, place, draft, chunks)
