"""What a machine runs short of: memory and room on its disk."""

from __future__ import annotations

import errno

LESS_MEMORY = "lower `batch`, `share` or `max_length` in the recipe, or give the tuner more memory"
"""What to do about a training that needs too much memory."""

MORE_ROOM = "make room where the tuner keeps its data, and start the job again"
"""What to do about a full disk."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_TOLD = (
    *(f"os error {number})" for number in _NO_ROOM),
    "PytorchStreamWriter failed writing",
    "unexpected pos",
)
"""How the writers of safetensors and of torch put it; torch does not say why it could not write."""


def is_full_disk(error: BaseException) -> bool:
    """Tell whether an error says that a file found no room."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    return any(told in str(error) for told in _NO_ROOM_TOLD)


def gib(size: float) -> str:
    """Write a number of bytes for a reader."""
    return f"{size / 2**30:.1f} GiB"
