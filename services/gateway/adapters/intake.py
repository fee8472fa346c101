"""Registering an adapter: staged, examined, stored, and only then in the registry."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from services.chassis.artifacts import ArtifactStore
from services.contracts.adapters import AdapterVersion, ReplicaReport
from services.gateway.adapters.examination import Candidate, Labels, examine
from services.gateway.adapters.importing import copy_adapter
from services.gateway.adapters.layout import AdapterLimits
from services.gateway.adapters.unpacking import unpack
from services.gateway.registry import adapters
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.idempotency import Attempt, remember, replay

_ABANDONED_SECONDS = 86_400.0

Fill = Callable[[Path], None]
"""Puts an adapter's files into a folder; runs in a thread."""


@dataclass(frozen=True, slots=True)
class AdapterIntake:
    """The way of adapters into the registry."""

    registry: Registry
    artifacts: ArtifactStore
    staging: Path
    """Where adapters lie until they are stored; on the disk of `data_dir`."""
    limits: AdapterLimits
    import_dirs: tuple[Path, ...]

    async def sweep(self) -> None:
        """Remove what a killed process left in the staging folder."""
        await asyncio.to_thread(_remove_old, self.staging)

    def from_archive(self, archive: BinaryIO) -> Fill:
        """Take the adapter from an uploaded archive."""
        return partial(unpack, archive, limits=self.limits)

    def from_path(self, path: str) -> Fill:
        """Take the adapter from a directory inside an import folder."""
        return partial(copy_adapter, path, roots=self.import_dirs, limits=self.limits)

    async def register(
        self, actor: Actor, fill: Fill, labels: Labels, attempt: Attempt | None
    ) -> tuple[AdapterVersion, bool]:
        """Register an adapter version, and tell whether it is new.

        The same content under the same name is the same version. The files are stored before the
        registry knows of them, so that a version that is registered can be fetched.

        Raises:
            ServiceError: the first finding; nothing is registered then.
        """
        async with self._staged() as folder:
            await asyncio.to_thread(fill, folder)
            candidate = await asyncio.to_thread(examine, folder, labels, self._replicas())
            await self.artifacts.put_folder(candidate.artifact_key, folder)
            registered = await self._enter(actor, candidate, attempt)
            # Files that were there may have been an older version's, removed before it came back.
            if not await self.artifacts.exists(candidate.artifact_key):
                await self.artifacts.put_folder(candidate.artifact_key, folder)
            return registered

    async def _enter(
        self, actor: Actor, candidate: Candidate, attempt: Attempt | None
    ) -> tuple[AdapterVersion, bool]:
        what = f"adapter {candidate.id} {candidate.content_hash}"
        async with self.registry.change(actor) as change:
            if attempt is not None and (told := await replay(change, attempt, what)) is not None:
                return AdapterVersion.received(told[1]), told[0] == 201
            version, created = await adapters.register(change, candidate)
            if attempt is not None:
                status = 201 if created else 200
                reply = version.model_dump(mode="json")
                await remember(change, attempt, what, status, reply)
            return version, created

    def _replicas(self) -> list[ReplicaReport]:
        replicas = self.registry.keeper.current.replicas
        live: list[ReplicaReport] = [replica for replica in replicas if replica.live]
        return live or list(replicas)

    @contextlib.asynccontextmanager
    async def _staged(self) -> AsyncIterator[Path]:
        await asyncio.to_thread(self.staging.mkdir, parents=True, exist_ok=True)
        folder = await asyncio.to_thread(tempfile.TemporaryDirectory, dir=self.staging)
        try:
            yield Path(folder.name)
        finally:
            await asyncio.to_thread(folder.cleanup)


def _remove_old(staging: Path) -> None:
    # Another gateway may share the folder; what it works on is younger.
    oldest = time.time() - _ABANDONED_SECONDS
    for folder in staging.iterdir() if staging.is_dir() else ():
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
