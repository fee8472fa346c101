"""A shard of a bulk ingestion with a hashing embedder as a process of its own, to be stopped:
`python -m tests.service.retriever.bulk_process FOLDER CATALOGUE QDRANT SPOOL TEXTS ARGUMENTS...`.

It hangs when it has embedded so many texts; 0 means that it does not."""

from __future__ import annotations

import sys
from pathlib import Path

from services.retriever.bulk.__main__ import parse, run
from services.retriever.settings import Jobs
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.service.retriever.retriever import Stores, settings_for


def main() -> None:
    """Ingest until a signal or the end."""
    folder, catalogue, qdrant, spool, texts, *arguments = sys.argv[1:]
    stores = Stores(catalogue, qdrant, Path(spool))
    jobs = Jobs(batch_chunks=4, lease_seconds=2.0)
    settings = settings_for(Path(folder), jobs=jobs, **stores.settings)
    embedder = HashingEmbedder(free_texts=int(texts))
    if embedder.free_texts:
        embedder.passages_may_go.clear()
    sys.exit(run(settings, parse(arguments), embedder=embedder))


if __name__ == "__main__":
    main()
