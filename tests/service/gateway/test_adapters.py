"""Registering adapters over HTTP: what gets in, under which id, and what is left otherwise."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from services.chassis.artifacts import ArtifactStore
from services.contracts.adapters import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE
from tests.fakes.adapters import version_of, write_adapter
from tests.fakes.archives import files_of, link, tar_gz, zipped
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test, upload

pytestmark = pytest.mark.anyio

ADAPTERS = "/admin/adapters"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "formal", "formal")


async def stored(gateway: GatewayUnderTest, version: str, tmp_path: Path) -> dict[str, bytes]:
    store = ArtifactStore(gateway.settings.artifact_store_url)
    target = tmp_path / "fetched"
    await store.fetch_folder(f"adapters/{version.replace('@', '/')}", target)
    return files_of(target)


def leftovers(gateway: GatewayUnderTest) -> list[Path]:
    staging = gateway.settings.data_dir / "staging"
    return list(staging.iterdir()) if staging.exists() else []


async def test_an_archive_becomes_a_version_named_by_its_content(
    gateway: GatewayUnderTest, folder: Path, tmp_path: Path
) -> None:
    reply = await upload(gateway.admin, tar_gz(files_of(folder)), {"description": "격식체"})
    assert reply.status == 201
    digest = version_of(folder)
    assert reply.body["id"] == f"formal@{digest[:12]}"
    assert reply.body["content_hash"] == digest
    assert reply.body["state"] == "registered"
    assert reply.body["manifest"]["description"] == "격식체"
    assert (await gateway.admin.get(f"{ADAPTERS}/{reply.body['id']}")).body == reply.body
    kept = await stored(gateway, reply.body["id"], tmp_path)
    original = files_of(folder)
    assert kept[WEIGHTS_FILE] == original[WEIGHTS_FILE]
    assert kept[CONFIG_FILE] == original[CONFIG_FILE]
    assert json.loads(kept[MANIFEST_FILE])["description"] == "격식체"
    assert leftovers(gateway) == []


async def test_the_same_content_again_is_the_same_version(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    first = await upload(gateway.admin, tar_gz(files_of(folder)))
    second = await upload(gateway.admin, zipped(files_of(folder, "other/")))
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body
    assert len((await gateway.admin.get(ADAPTERS)).body["data"]) == 1


async def test_other_weights_under_the_same_name_are_another_version(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    one = await gateway.register(write_adapter(tmp_path / "1", "one"), name="voice")
    two = await gateway.register(write_adapter(tmp_path / "2", "two"), name="voice")
    assert one["name"] == two["name"] == "voice"
    assert one["id"] != two["id"]
    listed = (await gateway.admin.get(f"{ADAPTERS}?limit=1")).body
    assert listed["has_more"] is True
    after = (await gateway.admin.get(f"{ADAPTERS}?after={listed['data'][0]['id']}")).body
    assert {listed["data"][0]["id"], *(a["id"] for a in after["data"])} == {one["id"], two["id"]}


async def test_a_refused_adapter_leaves_nothing(gateway: GatewayUnderTest, folder: Path) -> None:
    files = files_of(folder)
    pickled = {**files, "adapter_model.bin": b"x"}
    broken = {**files, WEIGHTS_FILE: b"not safetensors"}
    not_lora = {**files, CONFIG_FILE: b'{"peft_type": "LOHA"}'}
    dora = {
        **files,
        CONFIG_FILE: json.dumps({**json.loads(files[CONFIG_FILE]), "use_dora": True}).encode(),
    }
    for archive, code in (
        (tar_gz(pickled), "adapter_not_safetensors"),
        (tar_gz(broken), "adapter_not_safetensors"),
        (tar_gz(not_lora), "adapter_not_lora"),
        (tar_gz(dora), "adapter_unsupported_feature"),
        (tar_gz(files, link("x", "/etc/passwd")), "adapter_archive_unsafe"),
        (zipped({**files, "../x": b""}), "adapter_archive_unsafe"),
        (b"nothing of the kind", "adapter_archive_unreadable"),
    ):
        refused = await upload(gateway.admin, archive)
        assert (refused.status, refused.code) == (422, code)
        assert refused.message.endswith(".")
    assert (await gateway.admin.get(ADAPTERS)).body["data"] == []
    assert leftovers(gateway) == []
    assert not (gateway.settings.data_dir / "artifacts" / "adapters").exists()


async def test_replicas_decide_about_rank_and_base(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    await gateway.replica(max_lora_rank=16, base_fingerprint="aaaaaaaaaaaa").beat()
    high = write_adapter(tmp_path / "high", "high", rank=32)
    refused = await upload(gateway.admin, tar_gz(files_of(high)))
    assert (refused.status, refused.code) == (422, "adapter_rank_too_high")
    foreign = write_adapter(tmp_path / "foreign", "foreign")
    manifest = json.loads((foreign / MANIFEST_FILE).read_text())
    manifest["training"] = {"base_fingerprint": "bbbbbbbbbbbb"}
    (foreign / MANIFEST_FILE).write_text(json.dumps(manifest))
    refused = await upload(gateway.admin, tar_gz(files_of(foreign)))
    assert (refused.status, refused.code) == (422, "adapter_wrong_base")


async def test_a_path_is_taken_from_import_folders_only(tmp_path: Path, folder: Path) -> None:
    outside = write_adapter(tmp_path / "outside" / "adapter", "outside")
    imports = tmp_path / "imports"
    write_adapter(imports / "inside", "inside")
    (imports / "door").symlink_to(outside)
    async with gateway_under_test(tmp_path, adapter_import_dirs=(imports,)) as gateway:
        body = {"path": str(imports / "inside"), "name": "voice", "description": "d"}
        made = await gateway.admin.post(ADAPTERS, json=body)
        assert (made.status, made.body["name"]) == (201, "voice")
        for path in (outside, imports / "door", imports / ".." / "outside" / "adapter", "/etc"):
            refused = await gateway.admin.post(ADAPTERS, json={"path": str(path)})
            assert (refused.status, refused.code) == (400, "adapter_path_refused")
    async with gateway_under_test(tmp_path) as gateway:
        refused = await gateway.admin.post(ADAPTERS, json={"path": str(folder)})
        assert (refused.status, refused.code) == (400, "adapter_path_refused")


async def test_an_upload_over_the_limit_is_a_413(tmp_path: Path, folder: Path) -> None:
    async with gateway_under_test(tmp_path, max_adapter_bytes=1024) as gateway:
        unpacked_too_large = await upload(gateway.admin, tar_gz(files_of(folder)))
        assert (unpacked_too_large.status, unpacked_too_large.code) == (413, "adapter_too_large")
        body_too_large = await upload(gateway.admin, b"x" * 200_000)
        assert (body_too_large.status, body_too_large.code) == (413, "payload_too_large")


async def test_a_malformed_request_is_a_400(gateway: GatewayUnderTest) -> None:
    malformed: list[tuple[dict[str, Any], str | None]] = [
        ({"json": {}}, "path"),
        ({"json": {"path": "/x", "odd": 1}}, "odd"),
        ({"json": {"path": "/x", "name": "Not A Name"}}, "name"),
        ({"json": [1]}, None),
        ({"data": "{", "headers": {"Content-Type": "application/json"}}, None),
        ({"data": "x", "headers": {"Content-Type": "text/plain"}}, None),
        ({"data": {"name": "x"}}, None),
    ]
    for options, param in malformed:
        refused = await gateway.admin.post(ADAPTERS, **options)
        assert (refused.status, refused.body["error"]["param"]) == (400, param), options


async def test_a_form_without_a_file_or_with_odd_fields_is_a_400(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    for name, value in (("name", "한글"), ("description", "x" * 2000), ("owner", "me")):
        refused = await upload(gateway.admin, tar_gz(files_of(folder)), {name: value})
        assert (refused.status, refused.body["error"]["param"]) == (400, name)


async def test_a_retired_version_is_unloaded_and_can_come_back(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = (await gateway.register(folder))["id"]
    replica = gateway.replica()
    assert [order.id for order in await replica.beat()] == [version]
    assert (await gateway.admin.delete(f"{ADAPTERS}/{version}")).status == 200
    assert await replica.beat() == []
    assert (await gateway.admin.get(f"{ADAPTERS}/{version}")).body["state"] == "retired"
    again = await upload(gateway.admin, tar_gz(files_of(folder)))
    assert (again.status, again.body["state"]) == (200, "registered")
    assert [order.id for order in await replica.beat()] == [version]


async def test_an_unknown_version_is_a_404_and_a_malformed_one_a_400(
    gateway: GatewayUnderTest,
) -> None:
    for method in ("GET", "DELETE"):
        unknown = await gateway.admin.call(method, f"{ADAPTERS}/none@000000000000")
        assert (unknown.status, unknown.code) == (404, "adapter_not_found")
        malformed = await gateway.admin.call(method, f"{ADAPTERS}/none")
        assert malformed.status == 400


async def test_what_replicas_prove_is_shown_with_the_version(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = (await gateway.register(folder))["id"]
    good, bad = gateway.replica("good"), gateway.replica("bad", failing={version: "no memory"})
    for _ in range(2):
        await good.beat()
        await bad.beat()
    shown = (await gateway.admin.get(f"{ADAPTERS}/{version}")).body["replicas"]
    assert {name: said["state"] for name, said in shown.items()} == {
        "good": "proven",
        "bad": "failed",
    }
    assert shown["bad"]["reason"] == "no memory"


async def test_what_a_killed_gateway_left_in_staging_is_swept_at_the_next_start(
    tmp_path: Path,
) -> None:
    staging = tmp_path / "gateway" / "staging"
    for name, age in (("abandoned", 90_000), ("of-another-gateway", 60)):
        folder = write_adapter(staging / name, "formal")
        os.utime(folder, (time.time() - age, time.time() - age))
    async with gateway_under_test(tmp_path) as gateway:
        assert [path.name for path in leftovers(gateway)] == ["of-another-gateway"]
