"""`python -m services.retriever.bulk --source URL --tenant T --collection C --shard I --of N`:
ingest one shard of a corpus beside the retrievers, and end.

The exit status is 0 when every file is stored, 3 when some were refused (trying again refuses them
again), 2 when it cannot begin, 143 after a stop signal, and 1 when something broke.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence

import structlog
from pydantic import TypeAdapter, ValidationError

from services.chassis.logging import configure_logging
from services.chassis.telemetry import open_registry
from services.contracts.knowledge import CollectionName
from services.retriever.bulk.feeding import Feeder, Target
from services.retriever.bulk.source import Shard, Source, SourceMissingError
from services.retriever.embedding import Embedder
from services.retriever.resources import open_resources
from services.retriever.settings import Settings

REFUSED, UNUSABLE, STOPPED = 3, 2, 128 + signal.SIGTERM
"""The exit statuses beside 0 and 1."""

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Where Kubernetes tells a pod of an Indexed Job which one it is."""

_log = structlog.get_logger(__name__)


def main() -> None:
    """Read arguments and settings, work, and exit."""
    arguments = parse(sys.argv[1:])
    settings = Settings()
    configure_logging(
        "retriever", level=settings.listening.log_level, form=settings.listening.log_form
    )
    sys.exit(run(settings, arguments))


def run(
    settings: Settings, arguments: argparse.Namespace, *, embedder: Embedder | None = None
) -> int:
    """Ingest the shard that the arguments name, and give the exit status."""
    if settings.catalogue_url is None:
        _log.error("bulk.unusable", reason="set INKSTONE_RETRIEVER_CATALOGUE_URL to Postgres")
        return UNUSABLE
    return asyncio.run(_until_stopped(settings, arguments, embedder))


async def _until_stopped(
    settings: Settings, arguments: argparse.Namespace, embedder: Embedder | None
) -> int:
    """Work; a stop signal ends it after the lease of every job was given back."""
    with _stopped_by_signals() as stopped:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(ingest(settings, arguments, embedder))
            waits = group.create_task(stopped.wait())
            await asyncio.wait([work, waits], return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()
            work.cancel()
    return STOPPED if work.cancelled() else work.result()


async def ingest(
    settings: Settings, arguments: argparse.Namespace, embedder: Embedder | None = None
) -> int:
    """Ingest the shard, and give the exit status."""
    source = Source(arguments.source)
    name = arguments.name or arguments.source
    target = Target(arguments.tenant, arguments.collection, tuple(arguments.group), name)
    shard = Shard(arguments.shard, arguments.of)
    async with open_resources(settings, open_registry(), embedder=embedder) as resources:
        feeder = Feeder(resources.intake, source, target, shard, settings.limits.max_file_bytes)
        try:
            outcome = await feeder.feed()
        except SourceMissingError as error:
            _log.error("bulk.unusable", reason=str(error))
            return UNUSABLE
    _log.info("bulk.ended", shard=shard.number, of=shard.of, **outcome.counts)
    return REFUSED if outcome.failed else 0


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[asyncio.Event]:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.retriever.bulk")
    parser.add_argument("--source", required=True, help="the folder with the files, as fsspec URL")
    parser.add_argument("--name", help="the name of the source; the URL when left out")
    parser.add_argument("--tenant", required=True, help="whose documents they become")
    parser.add_argument("--collection", required=True, type=_collection)
    parser.add_argument("--group", action="append", default=[], help="who may see them; repeatable")
    index = os.environ.get(INDEX_VARIABLE)
    parser.add_argument(
        "--shard", type=int, default=index, required=index is None, help="which shard, from 0"
    )
    parser.add_argument("--of", type=int, required=True, help="how many shards there are")
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read arguments as the command line gives them; what is wrong ends the process with 2."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if not 0 <= parsed.shard < parsed.of:
        parser.error(f"shard {parsed.shard} is none of {parsed.of}: they count from 0")
    return parsed


def _collection(name: str) -> str:
    try:
        return TypeAdapter[str](CollectionName).validate_python(name)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{name!r} is no collection's name") from error


if __name__ == "__main__":
    main()
