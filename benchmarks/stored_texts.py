"""Where parsed texts lie: in the catalogue's database, or as a file each beside it.

Documents are shuffled sentences of the sample corpus, English and Korean. They are written in
batches as an ingestion job writes them, all replaced once, and read back at random; of the second
way only what differs is done, one durable file for each text.

    python benchmarks/stored_texts.py [--documents 10000] [--characters 6000] [--catalogue URL]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.knowledge import DocumentWrite
from services.retriever.catalogue.batches import Committed
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.opening import Catalogue, catalogue_over, open_database
from services.retriever.catalogue.records import Caller, Draft, Place, Write
from services.retriever.indexing import draft_of

CORPUS = Path(__file__).parents[1] / "examples" / "corpus"
WAYS = ("database", "files")
BATCH = 16
READ = 500
MIB = 1024 * 1024


def main() -> int:
    """Measure both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--characters", type=int, default=6_000, help="of each document")
    parser.add_argument("--catalogue", help="of Postgres and empty; SQLite when left out")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="one on Postgres")
    asyncio.run(_measure(parser.parse_args()))
    return 0


async def _measure(chosen: argparse.Namespace) -> None:
    drafts = _drafts(chosen.documents, chosen.characters)
    size = sum(len(draft.text.encode()) for draft in drafts) / MIB
    print(f"{len(drafts)} documents, {size:.0f} MiB of text; times for a document in ms")
    print(f"{'texts in':>10} {'write':>7} {'replace':>8} {'read':>6} {'database':>9} {'files':>6}")
    for way in chosen.ways:
        with tempfile.TemporaryDirectory() as folder:
            url = chosen.catalogue or f"sqlite:///{folder}/catalogue.sqlite3"
            async with open_database(url) as database:
                world = World(database, Path(folder) / "texts", in_files=way == "files")
                written = await world.write(drafts)
                replaced = await world.write([_changed(draft) for draft in drafts])
                read = await world.read(len(drafts))
                stored = await world.database_mib()
                files = sum(path.stat().st_blocks * 512 for path in world.folder.iterdir()) / MIB
                print(
                    f"{way:>10} {written:>7.2f} {replaced:>8.2f} {read:>6.2f} {stored:>9.0f}"
                    f" {files:>6.0f}",
                    flush=True,
                )
                await world.catalogue.documents.delete_collection("t", "docs")


def _drafts(count: int, characters: int) -> list[Draft]:
    sentences = [
        line
        for path in sorted(CORPUS.glob("*.md"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line
    ]
    chance = random.Random(0)
    drafts = []
    for number in range(count):
        parts: list[str] = [f"Document {number}"]
        while sum(map(len, parts)) < characters:
            parts.append(chance.choice(sentences))
        document = DocumentWrite(text="\n\n".join(parts), title=f"Document {number}")
        drafts.append(draft_of(document, ()))
    return drafts


def _changed(draft: Draft) -> Draft:
    changed = f"{draft.text}\n"
    return replace(draft, text=changed, content_hash=hashlib.sha256(changed.encode()).hexdigest())


class World:
    """A catalogue whose texts lie in it or beside it."""

    def __init__(self, database: Database, folder: Path, *, in_files: bool) -> None:
        self.catalogue: Catalogue = catalogue_over(database, "model", "benchmark")
        self.folder = folder
        self._database = database
        self._in_files = in_files
        folder.mkdir()

    async def write(self, drafts: Sequence[Draft]) -> float:
        """Write documents; return the milliseconds of each."""
        started = time.perf_counter()
        for at in range(0, len(drafts), BATCH):
            part = {
                Place("t", "docs", f"d{at + n}"): one for n, one in enumerate(drafts[at:][:BATCH])
            }
            if self._in_files:
                await asyncio.to_thread(self._store, part)
                part = {place: replace(draft, text="") for place, draft in part.items()}
            begun = await self.catalogue.batches.begin(part, _yes)
            assert begun is not None
            finished = [(write, 8) for write in begun.values() if isinstance(write, Write)]
            assert not await self.catalogue.batches.commit(finished, _nothing)
        return (time.perf_counter() - started) * 1000 / len(drafts)

    async def read(self, count: int) -> float:
        """Read documents at random; return the milliseconds of each."""
        chance = random.Random(1)
        caller = Caller("t", (), curator=True)
        started = time.perf_counter()
        for _ in range(READ):
            place = Place("t", "docs", f"d{chance.randrange(count)}")
            await self.catalogue.documents.read(caller, place)
            if self._in_files:
                await asyncio.to_thread((self.folder / place.id).read_text, "utf-8")
        return (time.perf_counter() - started) * 1000 / READ

    async def database_mib(self) -> float:
        """Tell what the database takes on disk."""
        async with self._database.read() as connection:
            if self._database.dialect == "postgresql":
                asked = text("SELECT pg_database_size(current_database())")
                return int((await connection.execute(asked)).scalar_one()) / MIB
            path = make_url(str(self._database.engine.url)).database
            assert path is not None
            return sum(each.stat().st_size for each in Path(path).parent.glob("*.sqlite3*")) / MIB

    def _store(self, drafts: dict[Place, Draft]) -> None:
        """Put each text into a file that a power cut leaves whole or absent."""
        for place, draft in drafts.items():
            coming = self.folder / f".{place.id}"
            with coming.open("wb") as file:
                file.write(draft.text.encode())
                file.flush()
                os.fsync(file.fileno())
            coming.rename(self.folder / place.id)
        directory = os.open(self.folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)


async def _yes(_: AsyncConnection) -> bool:
    return True


async def _nothing(_: AsyncConnection, __: Sequence[Committed]) -> None:
    return


if __name__ == "__main__":
    sys.exit(main())
