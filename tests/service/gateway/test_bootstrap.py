"""Keys that are there from the first start, and state that is there after the next."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.chassis.credentials import new_api_key, new_key_id
from services.gateway.resources import open_resources
from services.gateway.settings import Settings
from tests.service.gateway.gateway import gateway_under_test

pytestmark = pytest.mark.anyio


async def test_a_restart_keeps_keys_and_registers_none_twice(
    tmp_path: Path, database_url: str | None
) -> None:
    async with gateway_under_test(tmp_path, database_url=database_url) as gateway:
        issued = await gateway.admin.post("/admin/keys", json={"name": "k", "scopes": ["app"]})
        before = (await gateway.admin.get("/admin/keys")).body
    async with gateway_under_test(tmp_path, database_url=database_url) as gateway:
        after = (await gateway.admin.get("/admin/keys")).body
        client = gateway.client(issued.body["secret"])
        assert (await client.get("/v1/collections")).status == 200
    names = [key["name"] for key in after["data"]]
    assert sorted(names) == ["admin", "agent", "app", "k", "tuner"]
    assert [k["id"] for k in after["data"]] == [k["id"] for k in before["data"]]


async def test_a_bootstrap_key_has_the_id_that_it_shows(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path) as gateway:
        shown = gateway.secrets["app"].split("_")[1]
        key = (await gateway.admin.get(f"/admin/keys/{shown}")).body
        assert (key["name"], key["tenant"], key["scopes"]) == ("app", "default", ["app"])


async def test_a_revoked_bootstrap_key_does_not_come_back(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path) as gateway:
        shown = gateway.secrets["app"].split("_")[1]
        assert (await gateway.admin.delete(f"/admin/keys/{shown}")).status == 200
    async with gateway_under_test(tmp_path) as gateway:
        assert (await gateway.application.get("/v1/collections")).status == 401


async def test_a_replaced_file_is_one_more_key(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path):
        pass
    path = tmp_path / "keys" / "app.key"
    same_id = path.read_text().split("_")[1]
    for key_id in (same_id, new_key_id()):
        path.write_text(new_api_key(key_id))
        async with gateway_under_test(tmp_path) as gateway:
            assert (await gateway.application.get("/v1/collections")).status == 200


async def test_a_folder_inside_belongs_to_its_own_tenant(tmp_path: Path) -> None:
    (tmp_path / "keys" / "neighbour").mkdir(parents=True)
    (tmp_path / "keys" / "neighbour" / "agent.key").write_text(new_api_key(new_key_id()))
    (tmp_path / "keys" / "Not A Tenant").mkdir()
    (tmp_path / "keys" / "Not A Tenant" / "admin.key").write_text("x" * 64)
    async with gateway_under_test(tmp_path) as gateway:
        keys = (await gateway.neighbour.get("/admin/keys")).body["data"]
        assert {(key["name"], key["tenant"]) for key in keys} == {
            ("admin", "neighbour"),
            ("app", "neighbour"),
        }


async def test_a_short_secret_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "admin.key").write_text("hunter2\n")
    settings = Settings(
        data_dir=tmp_path / "gateway", bootstrap_keys_dir=tmp_path / "keys", retriever_api_key="k"
    )
    with pytest.raises(ValueError, match=r"admin\.key holds fewer than 32 characters"):
        async with open_resources(settings, CollectorRegistry()):
            pass
