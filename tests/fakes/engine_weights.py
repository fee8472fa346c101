"""What the fake engine holds: the adapter registry, the resident weights and the prefix cache.

Unloading removes the name only; weights stay until newer ones push them out, and are read from disk
again when they are used after that. A prefix computed with older weights under the same name and
path is reused, as the real engine does.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from services.contracts.adapters import CONFIG_FILE, WEIGHTS_FILE
from services.domain.preflight import PreflightError, inspect, read_header

STALE = "stale"
"""The marker of an answer that mixes old and new weights."""


class AdapterMissingError(Exception):
    """There is no adapter folder at the path."""


class EngineDeadError(Exception):
    """The engine core is gone; nothing works until a restart."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What was read from an adapter folder."""

    digest: str
    marker: str
    """Empty when the adapter changes nothing."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One entry of the engine's name registry."""

    name: str
    path: str
    serial: int
    """The engine's own number for it; a new one after each load under a free name."""


class EngineWeights:
    """The registry of names and the resident weights behind it.

    Attributes:
        disk_reads: how often weights were read from disk.
    """

    def __init__(self, *, max_cpu_loras: int, max_lora_rank: int) -> None:
        self.loaded: dict[str, Loaded] = {}
        self.disk_reads = 0
        self._max_cpu_loras = max_cpu_loras
        self._max_lora_rank = max_lora_rank
        self._serials = itertools.count(1)
        self._resident: OrderedDict[int, Weights] = OrderedDict()
        self._prefixes: dict[tuple[str, str, str, str], str] = {}

    def load(self, name: str, path: str) -> None:
        """Read an adapter and register its name.

        Raises:
            AdapterMissingError: when there is no such folder.
            PreflightError: when the engine cannot use what is there.
        """
        held = self.loaded.get(name)
        entry = Loaded(name, path, held.serial if held else next(self._serials))
        self._keep(entry.serial, self._read(path))
        self.loaded[name] = entry

    def unload(self, name: str) -> None:
        """Forget a name; its weights stay resident."""
        del self.loaded[name]

    def marker_for(self, name: str, *, salt: str, prompt: str) -> str:
        """Use an adapter for one prompt and return the marker of the weights that answer.

        Raises:
            EngineDeadError: when the weights were evicted and their files are gone.
        """
        entry = self.loaded[name]
        weights = self._use(entry)
        prefix = (name, entry.path, salt, hashlib.sha256(prompt.encode()).hexdigest())
        cached = self._prefixes.setdefault(prefix, weights.digest)
        return weights.marker if cached == weights.digest else STALE

    def effect_of(self, name: str) -> float:
        """How far an adapter moves log-probabilities; 0 for one without effect."""
        marker = self._use(self.loaded[name]).marker
        return 0.5 + len(marker) / 100 if marker else 0.0

    def _use(self, entry: Loaded) -> Weights:
        weights = self._resident.get(entry.serial)
        if weights is None:
            try:
                weights = self._read(entry.path)
            except (AdapterMissingError, PreflightError) as error:
                raise EngineDeadError from error
        self._keep(entry.serial, weights)
        return weights

    def _keep(self, serial: int, weights: Weights) -> None:
        self._resident[serial] = weights
        self._resident.move_to_end(serial)
        if len(self._resident) > self._max_cpu_loras:
            self._resident.popitem(last=False)

    def _read(self, path: str) -> Weights:
        folder = Path(path)
        try:
            config = json.loads((folder / CONFIG_FILE).read_bytes())
        except FileNotFoundError as error:
            raise AdapterMissingError(path) from error
        except ValueError as error:
            raise PreflightError("adapter_config_broken", str(error)) from error
        try:
            content = (folder / WEIGHTS_FILE).read_bytes()
        except FileNotFoundError as error:
            raise PreflightError("adapter_weights_missing", str(error)) from error
        header = read_header(content)
        inspect(config, header, max_rank=self._max_lora_rank)
        self.disk_reads += 1
        digest = hashlib.sha256(content).hexdigest()
        return Weights(digest, header.get("__metadata__", {}).get("marker", digest[:6]))
