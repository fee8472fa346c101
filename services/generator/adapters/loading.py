"""One adapter version into the engine: files, load, read back, proof."""

from __future__ import annotations

import contextlib
from pathlib import Path

import structlog

from services.contracts.adapters import DesiredAdapter
from services.generator.adapters.canary import Canary
from services.generator.adapters.local_cache import LocalCache
from services.generator.engine import Engine, EngineRefused

_log = structlog.get_logger(__name__)


class AdapterUnproven(EngineRefused):
    """The engine took the adapter, and does not serve it."""

    code = "adapter_unproven"


class Loader:
    """Loads versions into one engine.

    Args:
        canary_threshold: the least shift from the base by which an adapter has an effect.
    """

    def __init__(self, engine: Engine, cache: LocalCache, canary_threshold: float) -> None:
        self.engine = engine
        self._cache = cache
        self._canary = Canary(engine)
        self._threshold = canary_threshold

    async def load(self, wanted: DesiredAdapter) -> float:
        """Load and prove a version; one that is loaded already is only proven.

        Returns:
            How far it moves log-probabilities from the base's.

        Raises:
            AdapterUnusable: when its files are not what was registered, or cannot be served.
            EngineRefused: when the engine does not take it or it has no effect.
            ServiceError: when trying again may help.
        """
        folder = await self._cache.fetch(wanted)
        held = (await self.engine.adapters()).get(wanted.id)
        if held is not None and held != str(folder):
            await self.unload(wanted.id)
            held = None
        if held is None:
            await self.engine.load(wanted.id, str(folder))
        try:
            return await self._proven(wanted.id, folder)
        except AdapterUnproven:
            await self.unload(wanted.id)
            raise

    async def unload(self, version: str) -> None:
        """Take a version's name away; one that is not loaded is no error."""
        with contextlib.suppress(EngineRefused):
            await self.engine.unload(version)
        _log.info("adapter.unloaded", adapter=version)

    async def _proven(self, version: str, folder: Path) -> float:
        if (await self.engine.adapters()).get(version) != str(folder):
            raise AdapterUnproven("The engine lists the adapter under another path.")
        shift = await self._canary.shift(version)
        if shift < self._threshold:
            raise AdapterUnproven(
                f"The adapter has no effect: log-probabilities moved by {shift:.4f} and "
                f"{self._threshold} is the least; train it further, or lower "
                "INKSTONE_GENERATOR_ADAPTERS__CANARY_THRESHOLD."
            )
        return shift
