"""The child process that owns the embedded Qdrant core, because each of its calls holds the
interpreter lock; run as `python -m services.retriever.index.edge_process SOCKET DIRECTORY SIZE`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from services.retriever.answers import answer_parent
from services.retriever.index.shard import Shard

OWNER_PATIENCE_SECONDS = 25.0
"""How long a new process waits for the former owner of the index."""


@contextlib.contextmanager
def _owning(directory: Path) -> Iterator[None]:
    """Own the directory, waiting for a former owner that is still flushing.

    The engine's own lock comes too late: it reads the segments first and then waits for the log,
    which the former owner may have cut meanwhile. A shard opened in that moment lacks its last
    writes.
    """
    deadline = time.monotonic() + OWNER_PATIENCE_SECONDS
    with directory.with_suffix(".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield


def main() -> None:
    """Open the shard, and answer until the parent goes away."""
    descriptor, directory, dimensions = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    with _owning(directory):
        shard = Shard(directory, dimensions)
        answer_parent(
            descriptor,
            {
                "open": os.getpid,
                "upsert": shard.upsert,
                "delete": shard.delete,
                "points": shard.points,
                "search": shard.search,
                "count": shard.count,
                "revisions": shard.revisions,
                "flush": shard.flush,
                "wear": shard.wear,
                "tune": shard.tune,
            },
            {"search": shard.search_together},
        )
        shard.close()


if __name__ == "__main__":
    main()
