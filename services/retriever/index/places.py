"""Where the makings of an index lie, and clearing away those that serve no more."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from services.retriever.index.edge import open_edge_index
from services.retriever.index.port import Index
from services.retriever.metrics import Metrics
from services.retriever.settings import Settings

FINGERPRINT_DIGITS = 12
"""How long the name of a model is at the beginning of its index's name."""


LAYOUT = 2
"""The form of the points in an index; an index of another form is made anew from the catalogue."""

BLOCK_BYTES = 512
"""What `st_blocks` counts."""

ROOM = 1.5
"""Free room on the disk for a copy of an index, as a multiple of its size."""


@dataclass(frozen=True, slots=True)
class IndexPlaces:
    """The makings of one embedding model's index, on disk or on a server."""

    settings: Settings
    installation: str
    fingerprint: str
    dimensions: int
    metrics: Metrics

    def open(self, generation: int) -> AbstractAsyncContextManager[Index]:
        """Open one making, creating it when it is not there."""
        return self._open_edge(generation) if self._is_embedded else self._open_server(generation)

    async def remove(self, generation: int) -> None:
        """Remove a making that is not open."""
        if self._is_embedded:
            await asyncio.to_thread(self._remove_folders, self._name(generation))
            return
        from services.retriever.index.server import drop_collection

        await drop_collection(self._url, self._key, self._collection(generation))

    async def have_room_for_a_copy(self, generation: int) -> bool:
        """Tell whether the disk could hold a copy of a making."""
        return await asyncio.to_thread(_has_room_beside, self._folder / self._name(generation))

    async def remove_leftovers(self, used: Collection[int | None]) -> None:
        """Remove the embedded makings that a killed process left, all but the ones in use."""
        if self._is_embedded:
            names = {self._name(generation) for generation in used if generation is not None}
            await asyncio.to_thread(self._remove_makings_but, names)

    @property
    def _folder(self) -> Path:
        return self.settings.data_dir / "index"

    @property
    def _is_embedded(self) -> bool:
        return self.settings.qdrant_url is None

    @property
    def _url(self) -> str:
        assert self.settings.qdrant_url is not None
        return self.settings.qdrant_url

    @property
    def _key(self) -> str | None:
        key = self.settings.qdrant_api_key
        return key.get_secret_value() if key else None

    def _name(self, generation: int) -> str:
        return f"{_stem(self.fingerprint)}-g{generation}"

    def _collection(self, generation: int) -> str:
        return f"inkstone-{self.installation}-{self._name(generation)}"

    def _remove_folders(self, name: str) -> None:
        shutil.rmtree(self._folder / name, ignore_errors=True)
        (self._folder / name).with_suffix(".lock").unlink(missing_ok=True)

    def _remove_makings_but(self, names: Collection[str]) -> None:
        for path in [*self._folder.glob(f"{_stem(self.fingerprint)}-g*")]:
            if path.is_dir() and "." not in path.name and path.name not in names:
                self._remove_folders(path.name)

    @contextlib.asynccontextmanager
    async def _open_edge(self, generation: int) -> AsyncIterator[Index]:
        directory = self._folder / self._name(generation)
        flush_seconds = self.settings.index_flush_seconds
        async with open_edge_index(
            directory, self.dimensions, self.metrics, flush_seconds
        ) as index:
            yield index

    @contextlib.asynccontextmanager
    async def _open_server(self, generation: int) -> AsyncIterator[Index]:
        from services.retriever.index.server import open_server_index

        collection = self._collection(generation)
        async with open_server_index(
            self._url, self._key, collection, self.dimensions, self.settings.cluster, self.metrics
        ) as index:
            yield index


def remove_unused(folder: Path, used: Collection[str]) -> None:
    """Remove embedded indexes of an older layout, and those of models that no collection was built
    with any more.

    Args:
        folder: where the indexes lie, each named after its model's fingerprint.
        used: the fingerprints that are still needed.
    """
    for path in [*folder.iterdir()] if folder.is_dir() else []:
        if path.name.startswith(_stem(path.name[:FINGERPRINT_DIGITS])) and (
            path.name[:FINGERPRINT_DIGITS] in used
        ):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _stem(fingerprint: str) -> str:
    return f"{fingerprint}-v{LAYOUT}"


def _has_room_beside(directory: Path) -> bool:
    size = 0
    for path in directory.rglob("*"):
        # The engine removes files of its own meanwhile.
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_blocks * BLOCK_BYTES
    return shutil.disk_usage(directory.parent).free > ROOM * size
