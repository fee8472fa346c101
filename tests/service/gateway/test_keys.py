"""API keys over HTTP: who gets in, and how keys begin and end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.chassis.credentials import key_hash
from tests.fakes.agent import eventually
from tests.service.gateway.gateway import Client, GatewayUnderTest, gateway_under_test

pytestmark = pytest.mark.anyio

KEYS = "/admin/keys"
PROBE = "/v1/collections"


async def issue(client: Client, **fields: object) -> dict[str, str]:
    issued = await client.post(KEYS, json={"name": "test", "scopes": ["app"], **fields})
    assert issued.status == 201, issued.body
    return dict(issued.body)


async def test_a_new_key_works_at_once_and_its_secret_is_shown_once(
    gateway: GatewayUnderTest,
) -> None:
    issued = await issue(gateway.admin, name="웹 앱")
    assert (await gateway.client(issued["secret"]).get(PROBE)).status == 200
    read = await gateway.admin.get(f"{KEYS}/{issued['id']}")
    assert read.body["name"] == "웹 앱"
    assert "secret" not in read.body
    assert issued["secret"] not in str((await gateway.admin.get(KEYS)).body)


async def test_no_key_an_unknown_key_and_a_wrong_scheme_are_a_401_with_the_mend(
    gateway: GatewayUnderTest,
) -> None:
    nobody = await gateway.client(None).get(PROBE)
    assert (nobody.status, nobody.code) == (401, "missing_api_key")
    assert nobody.headers["www-authenticate"] == "Bearer"
    stranger = await gateway.client("ink_abcdefgh_" + "x" * 43).get(PROBE)
    assert (stranger.status, stranger.code) == (401, "invalid_api_key")
    basic = await gateway.client(None).get(PROBE, headers={"Authorization": "Basic abc"})
    assert basic.code == "missing_api_key"


async def test_a_key_does_only_what_its_scopes_say(gateway: GatewayUnderTest) -> None:
    for client, method, path in (
        (gateway.application, "GET", KEYS),
        (gateway.application, "GET", "/admin/replicas"),
        (gateway.application, "DELETE", f"{PROBE}/docs"),
        (gateway.application, "POST", "/internal/replicas/heartbeat"),
        (gateway.admin, "POST", "/internal/replicas/heartbeat"),
        (gateway.agent, "GET", PROBE),
        (gateway.agent, "GET", KEYS),
    ):
        refused = await client.call(method, path)
        assert (refused.status, refused.code) == (403, "missing_scope"), (method, path)


async def test_an_expired_key_is_told_so(gateway: GatewayUnderTest) -> None:
    soon = int(time.time()) + 2
    issued = await issue(gateway.admin, expires_at=soon)
    client = gateway.client(issued["secret"])
    assert (await client.get(PROBE)).status == 200

    async def expired() -> bool:
        return (await client.get(PROBE)).status == 401

    await eventually(expired)
    assert (await client.get(PROBE)).code == "expired_api_key"


async def test_a_key_cannot_be_born_expired(gateway: GatewayUnderTest) -> None:
    refused = await gateway.admin.post(
        KEYS, json={"name": "late", "scopes": ["app"], "expires_at": 1}
    )
    assert (refused.status, refused.body["error"]["param"]) == (400, "expires_at")


async def test_a_revoked_key_stops_at_once_and_stays_listed(gateway: GatewayUnderTest) -> None:
    issued = await issue(gateway.admin)
    assert (await gateway.admin.delete(f"{KEYS}/{issued['id']}")).body["deleted"] is True
    assert (await gateway.client(issued["secret"]).get(PROBE)).code == "invalid_api_key"
    assert (await gateway.admin.get(f"{KEYS}/{issued['id']}")).body["revoked_at"] is not None
    again = await gateway.admin.delete(f"{KEYS}/{issued['id']}")
    assert again.status == 200


async def test_a_rotated_key_keeps_its_id_and_its_old_secret_for_the_overlap_only(
    gateway: GatewayUnderTest,
) -> None:
    first = await issue(gateway.admin)
    path = f"{KEYS}/{first['id']}/rotate"
    second = (await gateway.admin.post(path, json={"overlap_seconds": 600})).body
    assert second["id"] == first["id"]
    assert second["secret"] != first["secret"]
    for secret in (first["secret"], second["secret"]):
        assert (await gateway.client(secret).get(PROBE)).status == 200
    third = (await gateway.admin.post(path, json={"overlap_seconds": 0})).body
    for secret in (first["secret"], second["secret"]):
        assert (await gateway.client(secret).get(PROBE)).status == 401
    assert (await gateway.client(third["secret"]).get(PROBE)).status == 200


async def test_a_revoked_key_cannot_be_rotated(gateway: GatewayUnderTest) -> None:
    issued = await issue(gateway.admin)
    await gateway.admin.delete(f"{KEYS}/{issued['id']}")
    refused = await gateway.admin.post(f"{KEYS}/{issued['id']}/rotate", json={})
    assert (refused.status, refused.code) == (409, "key_revoked")


async def test_the_last_operator_key_cannot_be_revoked(gateway: GatewayUnderTest) -> None:
    own = next(
        key["id"]
        for key in (await gateway.admin.get(KEYS)).body["data"]
        if "operator" in key["scopes"]
    )
    refused = await gateway.admin.delete(f"{KEYS}/{own}")
    assert (refused.status, refused.code) == (409, "last_operator_key")
    successor = await issue(gateway.admin, scopes=["operator"])
    assert (await gateway.client(successor["secret"]).delete(f"{KEYS}/{own}")).status == 200
    assert (await gateway.admin.get(KEYS)).status == 401


async def test_keys_are_listed_newest_first_in_pages(gateway: GatewayUnderTest) -> None:
    made = {(await issue(gateway.admin, name=f"key {n}"))["id"] for n in range(5)}
    seen: list[str] = []
    path = f"{KEYS}?limit=3"
    while True:
        page = (await gateway.admin.get(path)).body
        seen += [key["id"] for key in page["data"]]
        if not page["has_more"]:
            break
        path = f"{KEYS}?limit=3&after={seen[-1]}"
    assert len(seen) == len(set(seen))
    assert made < set(seen)
    refused = await gateway.admin.get(f"{KEYS}?after=nothing")
    assert (refused.status, refused.body["error"]["param"]) == (400, "after")


async def test_only_the_home_tenant_lets_services_in(gateway: GatewayUnderTest) -> None:
    body = {"name": "agent", "scopes": ["internal"]}
    refused = await gateway.neighbour.post(KEYS, json=body)
    assert (refused.status, refused.code) == (403, "scope_not_grantable")
    assert (await gateway.admin.post(KEYS, json=body)).status == 201


async def test_groups_reach_the_retriever_and_only_trusted_apps_may_name_them(
    gateway: GatewayUnderTest,
) -> None:
    plain = await issue(gateway.admin, groups=["영업", "a,b"])
    await gateway.client(plain["secret"]).get(PROBE)
    assert gateway.retriever.calls[-1].groups == ["영업", "a,b"]
    header = {"X-Inkstone-Groups": "%EC%98%81%EC%97%85"}
    refused = await gateway.client(plain["secret"]).get(PROBE, headers=header)
    assert (refused.status, refused.code) == (403, "groups_refused")

    trusted = await issue(gateway.admin, scopes=["app", "assert-groups"], groups=["영업", "법무"])
    client = gateway.client(trusted["secret"])
    assert (await client.get(PROBE, headers=header)).status == 200
    assert gateway.retriever.calls[-1].groups == ["영업"]
    foreign = await client.get(PROBE, headers={"X-Inkstone-Groups": "hr"})
    assert (foreign.status, foreign.code) == (403, "groups_refused")
    nobody = await client.get(PROBE, headers={"X-Inkstone-Groups": ""})
    assert nobody.status == 200
    assert gateway.retriever.calls[-1].groups == []


async def test_only_a_key_for_knowledge_that_speaks_for_itself_keeps_documents(
    gateway: GatewayUnderTest,
) -> None:
    async def keeps(scopes: list[str], **headers: str) -> bool:
        key = await issue(gateway.admin, scopes=scopes, groups=["영업"])
        forged = {"X-Inkstone-Curator": "yes", **headers}
        assert (await gateway.client(key["secret"]).get(PROBE, headers=forged)).status == 200
        return gateway.retriever.calls[-1].curator

    assert not await keeps(["app"])
    assert await keeps(["knowledge"])
    end_user = {"X-Inkstone-Groups": "%EC%98%81%EC%97%85"}
    assert not await keeps(["knowledge", "assert-groups"], **end_user)


async def test_the_registry_file_holds_no_secret(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path) as gateway:
        options = {"headers": {"Idempotency-Key": "once"}}
        issued = await gateway.admin.post(KEYS, json={"name": "k", "scopes": ["app"]}, **options)
        secrets = [issued.body["secret"], *gateway.secrets.values()]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "gateway").glob("gateway.sqlite3*"))
    assert key_hash(secrets[0]).encode() in stored
    for secret in secrets:
        assert secret.encode() not in stored
        assert secret.split("_", 2)[2].encode() not in stored


async def test_the_time_of_last_use_is_written_behind_the_requests(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path, key_usage_seconds=0.02) as gateway:
        issued = await issue(gateway.admin)
        assert (await gateway.admin.get(f"{KEYS}/{issued['id']}")).body["last_used_at"] is None
        before = int(time.time())
        await gateway.client(issued["secret"]).get(PROBE)

        async def noted() -> bool:
            key = (await gateway.admin.get(f"{KEYS}/{issued['id']}")).body
            return key["last_used_at"] is not None and key["last_used_at"] >= before

        await eventually(noted)


async def test_a_wrong_key_request_is_a_400_and_makes_no_key(gateway: GatewayUnderTest) -> None:
    before = len((await gateway.admin.get(KEYS)).body["data"])
    wrong: list[dict[str, object]] = [
        {},
        {"name": "x"},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "", "scopes": ["app"]},
        {"name": "nul\u0000", "scopes": ["app"]},
        {"name": "x", "scopes": ["app"], "tenant": "neighbour"},
        {"name": "x", "scopes": ["app"], "expires_at": 10**30},
        {"name": "x", "scopes": ["app"], "groups": [""]},
    ]
    for body in wrong:
        assert (await gateway.admin.post(KEYS, json=body)).status == 400, body
    assert len((await gateway.admin.get(KEYS)).body["data"]) == before


async def test_metrics_say_when_keys_expire(gateway: GatewayUnderTest) -> None:
    soon = int(time.time()) + 86_400
    bodies = [
        {"name": "끝나는 키", "scopes": ["app"], "expires_at": soon},
        {"name": "for ever", "scopes": ["app"]},
    ]
    ends, stays = [await gateway.admin.post("/admin/keys", json=body) for body in bodies]
    rotated = await gateway.admin.post(
        f"/admin/keys/{stays.body['id']}/rotate", json={"overlap_seconds": 60}
    )
    assert rotated.status in (200, 201), rotated
    name = "inkstone_key_expires_timestamp_seconds"

    async def shown() -> dict[str, float]:
        page = (await gateway.client(None).get("/metrics")).body
        lines = [line for line in page.splitlines() if line.startswith(name + "{")]
        return {line.split('key="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}

    async def settled() -> bool:
        return await shown() == {ends.body["id"]: soon}

    await eventually(settled)
