"""Why a training broke off, told by what it raised."""

from __future__ import annotations

from collections.abc import Iterator

from services.contracts.fine_tuning import TrainingFailure
from services.domain.preflight import PreflightError
from services.tuner.datasets.rows import RowError
from services.tuner.refusals import Refused
from services.tuner.shortages import LESS_MEMORY, MORE_ROOM, is_full_disk

_NO_MEMORY_TOLD = ("can't allocate memory", "out of memory", "not enough memory")


def failure_of(error: BaseException) -> tuple[str, str] | None:
    """Say a failure's code and a sentence with the mend; None when it is nobody's but ours."""
    if isinstance(error, RowError | PreflightError | Refused):
        return error.code, str(error)
    for one in _chain(error):
        if is_full_disk(one):
            return TrainingFailure.DISK_FULL, f"The disk is full; {MORE_ROOM}."
        if _is_want_of_memory(one):
            return TrainingFailure.OUT_OF_MEMORY, f"The training ran out of memory; {LESS_MEMORY}."
    return None


def _is_want_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    # What the libraries raise, on a GPU and on a CPU, is known by its text alone.
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(told in said for told in _NO_MEMORY_TOLD)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Go from an error through what caused it."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
