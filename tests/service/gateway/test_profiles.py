"""Profile versions and single releases: listed, read and used again by what they hold."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.gateway.gateway import GatewayUnderTest

pytestmark = pytest.mark.anyio

POLITE: dict[str, Any] = {
    "system": "공손하게 답하세요.",
    "few_shot": [{"user": "q", "assistant": "a"}],
}
TERSE = {"system": "Be terse."}


async def bind(gateway: GatewayUnderTest, name: str, profile: dict[str, Any]) -> dict[str, Any]:
    reply = await gateway.admin.put(f"/admin/assistants/{name}", json={"profile": profile})
    assert reply.status == 200, reply
    return dict(reply.body["stable"])


async def test_equal_profiles_are_one_version_wherever_they_are_used(
    gateway: GatewayUnderTest,
) -> None:
    polite = (await bind(gateway, "helper", POLITE))["profile_hash"]
    await bind(gateway, "shop", POLITE)
    terse = (await bind(gateway, "shop", TERSE))["profile_hash"]
    listed = (await gateway.admin.get("/admin/profiles")).body
    versions = {version["id"]: version for version in listed["data"]}
    assert set(versions) == {polite, terse}
    assert not listed["has_more"]
    assert versions[polite]["releases"] == ["helper/1", "shop/1"]
    assert versions[polite]["serving"] == ["helper"]
    assert versions[terse]["serving"] == ["shop"]
    one = (await gateway.admin.get(f"/admin/profiles/{polite}")).body
    assert one == versions[polite]
    assert one["profile"]["system"] == POLITE["system"]


async def test_a_profile_that_is_read_and_bound_again_is_the_same_version(
    gateway: GatewayUnderTest,
) -> None:
    first = await bind(gateway, "helper", POLITE)
    await bind(gateway, "helper", TERSE)
    read = (await gateway.admin.get(f"/admin/profiles/{first['profile_hash']}")).body
    again = await bind(gateway, "helper", read["profile"])
    assert again["profile_hash"] == first["profile_hash"]
    assert again["number"] == 3


async def test_the_list_is_read_in_pages(gateway: GatewayUnderTest) -> None:
    made = {(await bind(gateway, "helper", {"system": str(n)}))["profile_hash"] for n in range(5)}
    seen: list[str] = []
    query = "limit=2"
    while True:
        page = (await gateway.admin.get(f"/admin/profiles?{query}")).body
        seen += [version["id"] for version in page["data"]]
        if not page["has_more"]:
            break
        query = f"limit=2&after={seen[-1]}"
    assert len(seen) == 5
    assert set(seen) == made


async def test_one_release_is_read_by_its_number(gateway: GatewayUnderTest) -> None:
    first = await bind(gateway, "helper", POLITE)
    await bind(gateway, "helper", TERSE)
    assert (await gateway.admin.get("/admin/assistants/helper/releases/1")).body == first


async def test_what_there_is_not_or_is_anothers_is_a_404(gateway: GatewayUnderTest) -> None:
    hash_ = (await bind(gateway, "helper", POLITE))["profile_hash"]
    refused = [
        (await gateway.admin.get(f"/admin/profiles/{'0' * 12}"), "profile_not_found"),
        (await gateway.neighbour.get(f"/admin/profiles/{hash_}"), "profile_not_found"),
        (await gateway.admin.get("/admin/assistants/helper/releases/2"), "release_not_found"),
        (await gateway.neighbour.get("/admin/assistants/helper/releases/1"), "release_not_found"),
    ]
    for reply, code in refused:
        assert (reply.status, reply.code) == (404, code)
    assert (await gateway.neighbour.get("/admin/profiles")).body["data"] == []
    assert (await gateway.application.get("/admin/profiles")).status == 403
