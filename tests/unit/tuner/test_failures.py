"""Why a training broke off, and what to do about it."""

from __future__ import annotations

import errno
import os

import pytest

from services.tuner.datasets.rows import RowError
from services.tuner.failures import failure_of
from services.tuner.memory import default_limit, resident_bytes
from services.tuner.refusals import TrainingTooLong


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (RuntimeError("Error while serializing: I/O error: (os error 28)"), "disk_full"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 9"), "disk_full"),
        (caused(RuntimeError("it broke"), OSError(errno.EDQUOT, "quota")), "disk_full"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"), "out_of_memory"),
        (RowError("row_too_long", "the row has 900 tokens", 3), "row_too_long"),
        (TrainingTooLong("the training would take 9 hours"), "training_too_long"),
    ],
)
def test_a_failure_has_a_code_and_a_sentence(error: Exception, code: str) -> None:
    told = failure_of(error)
    assert told is not None
    assert told[0] == code
    assert told[1]


def test_what_is_nobody_s_fault_but_ours_has_none() -> None:
    assert failure_of(KeyError("x")) is None
    assert failure_of(OSError(errno.ENOENT, "no such file")) is None


def test_memory_is_measured_and_its_limit_leaves_the_machine_some() -> None:
    held = resident_bytes(os.getpid())
    assert 1 << 20 < held < default_limit()
    assert resident_bytes(1 << 30) == 0
