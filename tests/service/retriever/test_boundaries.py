"""Every way that a caller has to ask, tried on what the caller must not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.service.retriever.retriever import Client

pytestmark = pytest.mark.anyio

SECRET = "tourmaline"
"""Stands in every protected text, title, id and metadata value, and nowhere else."""

FIELDS = (
    "scope",
    "tenant",
    "tenants",
    "groups",
    "allowed_groups",
    "document",
    "document_id",
    "revision",
    "collection",
    "metadata.scope",
    "metadata.owner",
    "owner",
    "group",
    "groups[]",
    "m.owner",
    "",
)
VALUES = ("acme/docs", "staff", SECRET)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that might show too much."""

    client: Client
    method: str
    path: str
    body: Any = None
    params: tuple[tuple[str, str], ...] = ()


def _filters() -> Iterator[dict[str, Any]]:
    for key in FIELDS:
        yield from ({"type": "eq", "key": key, "value": value} for value in VALUES)
        yield {"type": "ne", "key": key, "value": "nothing"}
        yield {"type": "in", "key": key, "value": [v for v in VALUES if isinstance(v, str)]}
    anything = {"type": "ne", "key": "owner", "value": "nobody"}
    yield {"type": "or", "filters": [anything, {"type": "not", "filter": anything}]}
    yield {"type": "not", "filter": {"type": "and", "filters": [anything, anything]}}
    yield {"type": "or", "filters": [{"type": "eq", "key": "scope", "value": "x"}, anything]}


def _searches(client: Client) -> Iterator[Attempt]:
    def search(**fields: Any) -> Attempt:
        body = {"query": SECRET, "collections": ["docs"], "top_k": 100, **fields}
        return Attempt(client, "POST", "/search", body)

    for mode in ("hybrid", "dense", "lexical"):
        yield search(mode=mode)
        yield search(mode=mode, min_score=0.0)
    for where in _filters():
        yield search(filter=where)
    for name in ("vault", "*", "acme/docs", "../acme", "docs/../docs", "%64ocs", "docs\x00"):
        yield search(collections=["docs", name])
        yield search(collections=[name])
    yield search(tenant="acme", groups=["staff"])
    yield search(scope="acme/docs", acl={"groups": ["staff"]})


def _reads(client: Client) -> Iterator[Attempt]:
    for collection in ("docs", "vault"):
        for name in (f"{SECRET}-1", f"{SECRET}-2", quote(f"{SECRET}-1"), f"..%2F{SECRET}-1"):
            yield Attempt(client, "GET", f"/collections/{collection}/documents/{name}")
        yield Attempt(client, "GET", f"/collections/{collection}")
        path = f"/collections/{collection}/documents"
        yield Attempt(client, "GET", path)
        for after in ("", "a", "~", SECRET[:3], "%00", "' OR 1=1 --"):
            yield Attempt(client, "GET", path, params=(("limit", "1000"), ("after", after)))
        yield Attempt(client, "GET", path, params=(("tenant", "acme"), ("groups", "staff")))
    yield Attempt(client, "GET", "/collections")


def _intruders(client: Client) -> Iterator[Client]:
    """List callers that share the tenant but no group, or the groups but no tenant."""
    outsider = replace(client, curator=False)
    yield outsider
    yield outsider.in_groups("guests", "staf", "staff ", "STAFF", "everybody", "*", '"staff"', "[]")
    neighbour = client.neighbour
    for curator in (True, False):
        yield replace(neighbour, curator=curator).in_groups("staff")
    for tenant in (f"{client.tenant} ", f"{client.tenant}/docs", f"{client.tenant}%00", "*", "%"):
        if tenant.strip() != client.tenant:
            yield replace(client, tenant=tenant).in_groups("staff")


async def test_no_request_shows_what_its_caller_may_not_see(client: Client) -> None:
    for number in (1, 2):
        fields: dict[str, Any] = {
            "title": SECRET,
            "metadata": {"owner": SECRET, "group": "staff"},
            "allowed_groups": ["staff"],
        }
        await client.put(f"{SECRET}-{number}", f"{SECRET} apple {number}", **fields)
    await client.put("open", "apple for everybody")
    await client.put(f"{SECRET}-1", f"{SECRET} alone", collection="vault", allowed_groups=["board"])
    await client.neighbour.put("own", "apple of the neighbour")

    tried = 0
    for intruder in _intruders(client):
        for attempt in (*_searches(intruder), *_reads(intruder)):
            reply = await attempt.client.call(
                attempt.method, attempt.path, attempt.body, **dict(attempt.params)
            )
            # A refusal may repeat what was asked for; nothing else may know the word.
            if reply.status == 200:
                assert SECRET not in str(reply.body), attempt
            tried += 1
    assert tried > 800

    assert len((await client.in_groups("staff").search(SECRET)).passages) == 3


async def test_a_keeper_reads_every_document_and_still_searches_as_its_groups(
    client: Client,
) -> None:
    await client.put("closed", "apple", allowed_groups=["staff"])
    outsider = replace(client, curator=False)
    assert (await outsider.call("GET", "/collections/docs/documents/closed")).status == 404
    assert (await client.call("GET", "/collections/docs/documents/closed")).body["text"] == "apple"
    assert [d["id"] for d in (await client.call("GET", "/collections/docs/documents")).body["data"]]
    assert (await client.search("apple")).passages == []


async def test_a_reader_lists_whole_pages_of_what_its_groups_may_see(client: Client) -> None:
    for number in range(6):
        groups = ["staff"] if number % 2 else []
        await client.put(f"d{number}", "apple", allowed_groups=groups)
    outsider = replace(client, curator=False)
    first = await outsider.call("GET", "/collections/docs/documents", limit="2")
    assert [d["id"] for d in first.body["data"]] == ["d0", "d2"]
    assert first.body["has_more"] is True
    rest = await outsider.call("GET", "/collections/docs/documents", limit="2", after="d2")
    assert [d["id"] for d in rest.body["data"]] == ["d4"]
    assert rest.body["has_more"] is False
    staff = outsider.in_groups("인사팀", "staff")
    everything = await staff.call("GET", "/collections/docs/documents")
    assert len(everything.body["data"]) == 6
