"""A Qdrant server or cluster behind the index port, through qdrant-client.

Imported only when a server is used: the library takes a second and 120 MB.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import structlog
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException

from services.retriever.errors import IndexUnavailable
from services.retriever.fusion import Candidates, Ranked, Scored, rank
from services.retriever.index.layout import collection_options, field_indexes
from services.retriever.index.payloads import DENSE, LEXICAL, payload_of, point_of
from services.retriever.index.port import (
    CONTENT,
    REVISION,
    SCOPE,
    AllOf,
    AnyOf,
    ChunkPoint,
    Condition,
    Hit,
    IndexQuery,
    InRange,
    NoneOf,
    OneOf,
    Wear,
)
from services.retriever.metrics import Metrics
from services.retriever.settings import Cluster

CALL_SECONDS = 30
"""How long the server may take to answer."""

POINTS_A_CALL = 128
"""Points in one request, well under the server's limit of 32 MB."""

REVISIONS_A_PAGE = 1_000_000
"""The most revisions that one count covers."""

_log = structlog.get_logger(__name__)


class ServerIndex:
    """One collection on a Qdrant server."""

    def __init__(self, client: AsyncQdrantClient, collection: str, metrics: Metrics) -> None:
        self._client = client
        self._collection = collection
        self._metrics = metrics
        self._answered = True

    @property
    def ready(self) -> bool:
        """Whether the server answered the last call."""
        return self._answered

    async def prepare(self, dimensions: int, cluster: Cluster) -> None:
        """Create the collection and its payload indexes unless they are there."""
        with self._translated("prepare"):
            await self._create(collection_options(dimensions, cluster))
            for field, schema in field_indexes().items():
                await self._client.create_payload_index(self._collection, field, schema, wait=True)

    async def _create(self, options: dict[str, Any]) -> None:
        """Create the collection unless it is there, or another process is first."""
        if await self._client.collection_exists(self._collection):
            return
        try:
            await self._client.create_collection(self._collection, **options)
        except ApiException:
            if not await self._client.collection_exists(self._collection):
                raise

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Store points; the server has them on disk when this returns."""
        with self._translated("upsert"):
            for at in range(0, len(points), POINTS_A_CALL):
                await self._client.upsert(
                    self._collection,
                    [
                        models.PointStruct(
                            id=point.id,
                            vector={DENSE: list(point.dense), LEXICAL: self._sparse(point.lexical)},
                            payload=payload_of(point),
                        )
                        for point in points[at : at + POINTS_A_CALL]
                    ],
                    wait=True,
                )

    async def delete(self, where: Condition) -> None:
        """Remove the points that match."""
        selector = models.FilterSelector(filter=self._filter(where))
        with self._translated("delete"):
            await self._client.delete(self._collection, selector, wait=True)

    async def count(self, where: Condition | None = None) -> int:
        """Count the points that match, or all."""
        chosen = None if where is None else self._filter(where)
        with self._translated("count"):
            counted = await self._client.count(self._collection, chosen, exact=True)
        return counted.count

    async def revisions(self) -> dict[int, int]:
        """Count the points of every revision."""
        with self._translated("revisions"):
            facet = await self._client.facet(
                self._collection, REVISION, limit=REVISIONS_A_PAGE, exact=True
            )
        return {int(hit.value): hit.count for hit in facet.hits}

    async def flush(self) -> None:
        """Do nothing: the server writes its log before it answers."""

    async def points(self, after: str | None, limit: int) -> tuple[list[ChunkPoint], str | None]:
        """Read points back whole, page by page."""
        with self._translated("points"):
            records, following = await self._client.scroll(
                self._collection, offset=after, limit=limit, with_payload=True, with_vectors=True
            )
        points = [point_of(str(record.id), record.vector, record.payload) for record in records]
        return points, None if following is None else str(following)

    async def search(self, query: IndexQuery) -> list[Hit]:
        """Find the best points, best first."""
        with self._translated("search"):
            return await self._search(query)

    def hold_flushes(self, *, held: bool) -> None:
        """Do nothing: the server sees to its disk itself."""

    async def wear(self) -> Wear:
        """Say that nothing has changed, without counting: a server tunes itself."""
        return Wear(0, 0)

    async def tune(self) -> None:
        """Do nothing: a server tunes itself."""

    async def _search(self, query: IndexQuery) -> list[Hit]:
        where = self._filter(query.where)
        ranked = rank(
            await self._candidates(query, where),
            query.weights,
            min_similarity=query.min_similarity,
            limit=query.limit,
        )
        if not ranked:
            return []
        records = await self._client.retrieve(
            self._collection,
            [found.id for found in ranked],
            with_payload=[REVISION, CONTENT],
            with_vectors=[DENSE] if query.with_vectors else False,
        )
        known = {str(record.id): record for record in records}
        # A point may be deleted between the two calls.
        return [_hit(found, known[found.id]) for found in ranked if found.id in known]

    async def _candidates(self, query: IndexQuery, where: models.Filter) -> Candidates:
        """Run both rankings, then score what only one of them found by the other's measure too."""
        asks_words = query.by_words and bool(query.lexical.indices)
        # Each scope has a graph of its own: a search over two at once would miss most of either.
        graphs = [_within(where, scope) for scope in query.scopes] if query.by_meaning else []
        told, *found = await self._answers(
            self._by_words(query, where, query.prefetch) if asks_words else None,
            *(self._by_meaning(query, graph, query.prefetch) for graph in graphs),
        )
        nearest = _ordered(chain.from_iterable(found))[: query.prefetch]
        similarities, words = dict(nearest), _sharing(told)
        far, silent = words.keys() - similarities.keys(), similarities.keys() - words.keys()
        more_near, more_told = await self._answers(
            self._by_meaning(query, _only(where, far), len(far)) if far else None,
            self._by_words(query, _only(where, silent), len(silent))
            if asks_words and silent
            else None,
        )
        return Candidates(nearest, similarities | dict(more_near), words | _sharing(more_told))

    async def _answers(self, *requests: models.QueryRequest | None) -> list[list[Scored]]:
        """Answer in one call the requests that are made; the others have nothing."""
        made = [request for request in requests if request is not None]
        if not made:
            return [[] for _ in requests]
        answers = iter(await self._client.query_batch_points(self._collection, made))
        return [[] if request is None else _scored(next(answers).points) for request in requests]

    def _by_meaning(
        self, query: IndexQuery, where: models.Filter, limit: int
    ) -> models.QueryRequest:
        return models.QueryRequest(
            query=list(query.dense), using=DENSE, filter=where, limit=limit, with_payload=False
        )

    def _by_words(self, query: IndexQuery, where: models.Filter, limit: int) -> models.QueryRequest:
        return models.QueryRequest(
            query=self._sparse(query.lexical),
            using=LEXICAL,
            filter=where,
            limit=limit,
            params=models.SearchParams(
                idf=models.IdfCorpusParams(corpus=self._filter(AnyOf(SCOPE, tuple(query.scopes))))
            ),
            with_payload=False,
        )

    def _sparse(self, vector: Any) -> models.SparseVector:
        return models.SparseVector(indices=[*vector.indices], values=[*vector.values])

    def _filter(self, condition: Condition) -> models.Filter:
        match condition:
            case AnyOf(field, values):
                match_any = models.MatchAny(any=list[Any](values))
                return models.Filter(must=[models.FieldCondition(key=field, match=match_any)])
            case InRange(field, gt, gte, lt, lte):
                bounds = models.Range(gt=gt, gte=gte, lt=lt, lte=lte)
                return models.Filter(must=[models.FieldCondition(key=field, range=bounds)])
            case AllOf(conditions):
                return models.Filter(must=[self._filter(each) for each in conditions])
            case OneOf(conditions):
                return models.Filter(should=[self._filter(each) for each in conditions])
            case NoneOf(conditions):
                return models.Filter(must_not=[self._filter(each) for each in conditions])

    @contextlib.contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        try:
            with self._metrics.index_seconds.labels(operation).time():
                yield
        except (ApiException, OSError) as error:
            self._answered = False
            _log.error("index.failed", operation=operation, reason=str(error))
            raise IndexUnavailable(
                "The Qdrant server does not answer as it should; the log has the cause."
            ) from error
        self._answered = True


@contextlib.asynccontextmanager
async def open_server_index(
    url: str,
    api_key: str | None,
    collection: str,
    dimensions: int,
    cluster: Cluster,
    metrics: Metrics,
) -> AsyncIterator[ServerIndex]:
    """Use a server's collection for as long as the context lasts."""
    client = AsyncQdrantClient(url, api_key=api_key, timeout=CALL_SECONDS)
    try:
        index = ServerIndex(client, collection, metrics)
        await index.prepare(dimensions, cluster)
        yield index
    finally:
        await client.close()


async def drop_collection(url: str, api_key: str | None, collection: str) -> None:
    """Remove a server's collection.

    Raises:
        IndexUnavailable: the server does not answer.
    """
    client = AsyncQdrantClient(url, api_key=api_key, timeout=CALL_SECONDS)
    try:
        await client.delete_collection(collection)
    except (ApiException, OSError) as error:
        raise IndexUnavailable("The Qdrant server does not remove the collection.") from error
    finally:
        await client.close()


def _hit(found: Ranked, record: Any) -> Hit:
    dense = tuple((record.vector or {}).get(DENSE, ()))
    payload = record.payload or {}
    return Hit(found.id, found.score, found.similarity, payload[REVISION], payload[CONTENT], dense)


def _scored(points: Sequence[Any]) -> list[Scored]:
    """Put points with equal scores in one order everywhere, and leave out those that share no
    word: some engines list them with a score of zero.
    """
    return _ordered((str(point.id), float(point.score)) for point in points)


def _ordered(found: Iterable[Scored]) -> list[Scored]:
    return sorted(found, key=lambda scored: (-scored[1], scored[0]))


def _sharing(scored: Sequence[Scored]) -> dict[str, float]:
    """Leave out points that share no word, which some engines list with a score of zero."""
    return {point: score for point, score in scored if score > 0}


def _within(where: models.Filter, scope: str) -> models.Filter:
    own = models.FieldCondition(key=SCOPE, match=models.MatchValue(value=scope))
    return models.Filter(must=[where, own])


def _only(where: models.Filter, points: Iterable[str]) -> models.Filter:
    return models.Filter(must=[where, models.HasIdCondition(has_id=[*points])])
