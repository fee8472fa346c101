"""Which adapter versions replicas should hold, and whether one more fits: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable

from services.chassis.errors import Conflict
from services.contracts.adapters import DesiredAdapter, Replica
from services.gateway.registry.snapshot import Snapshot


class SlotsExhausted(Conflict):
    """More versions would have to stay loaded than a replica can hold."""

    code = "slots_exhausted"


def desired(snapshot: Snapshot, capacity: int) -> list[DesiredAdapter]:
    """List what a replica should hold: what is pinned, then what is wanted longest, up to capacity.

    Two tenants that registered the same content under the same name share one loaded version.
    """
    kept = snapshot.pinned
    hashes = {id_: version.content_hash for (_, id_), version in snapshot.adapters.items()}
    first = [id_ for id_ in hashes if id_ in kept]
    rest = [id_ for id_ in hashes if id_ not in kept]
    chosen = first + rest[: max(0, capacity - len(first))]
    return [DesiredAdapter(id=id_, content_hash=hashes[id_], pinned=id_ in kept) for id_ in chosen]


def capacity_of(replicas: Iterable[Replica]) -> int | None:
    """Tell how many versions the smallest live replica holds; None when none is live."""
    return min((replica.max_cpu_loras for replica in replicas if replica.live), default=None)


def check_room(snapshot: Snapshot, adapter: str) -> None:
    """Refuse to pin a version that does not fit beside those that are pinned already.

    The version that an assistant serves now counts too: requests in flight finish on it.

    Raises:
        SlotsExhausted: with the arithmetic.
    """
    capacity = capacity_of(snapshot.replicas)
    kept = snapshot.pinned
    if capacity is None or adapter in kept or len(kept) < capacity:
        return
    raise SlotsExhausted(
        f"{len(kept)} adapter versions are in service and 1 more would make {len(kept) + 1}, but "
        f"the smallest replica holds {capacity}; unbind one or raise "
        "INKSTONE_GENERATOR_MAX_CPU_LORAS."
    )
