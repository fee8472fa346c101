"""Files of adapter versions that nobody uses go in the end, none that is used goes with them."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.chassis.artifacts import ArtifactStore
from services.gateway.adapters.examination import Labels
from services.gateway.registry import leases
from services.gateway.registry.adapter_files import LEASE, AdapterFiles
from services.gateway.registry.changes import Actor
from tests.fakes.adapters import write_adapter
from tests.fakes.archives import files_of, tar_gz
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test, upload

pytestmark = pytest.mark.anyio

ADAPTERS = "/admin/adapters"
WEEK = 7 * 86_400.0


@pytest.fixture
async def gateway(tmp_path: Path, database_url: str | None) -> AsyncIterator[GatewayUnderTest]:
    async with gateway_under_test(tmp_path, database_url=database_url) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "formal", "formal")


def sweeper(gateway: GatewayUnderTest, *, days: float) -> AdapterFiles:
    """One that keeps files for a week, so many days from now."""
    registry = replace(gateway.resources.registry, clock=lambda: time.time() + days * 86_400)
    return AdapterFiles(registry, store(gateway), WEEK, lease_seconds=60)


def store(gateway: GatewayUnderTest) -> ArtifactStore:
    return ArtifactStore(gateway.settings.artifact_store_url)


async def is_stored(gateway: GatewayUnderTest, version: str) -> bool:
    return await store(gateway).exists(f"adapters/{version.replace('@', '/')}")


async def retired(gateway: GatewayUnderTest, folder: Path) -> str:
    version = str((await gateway.register(folder))["id"])
    assert (await gateway.admin.delete(f"{ADAPTERS}/{version}")).status == 200
    return version


async def files(gateway: GatewayUnderTest, version: str) -> str:
    return str((await gateway.admin.get(f"{ADAPTERS}/{version}")).body["files"])


async def test_files_of_a_version_that_was_retired_for_long_go_and_the_audit_log_says_so(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = await retired(gateway, folder)
    await sweeper(gateway, days=6).sweep()
    assert await is_stored(gateway, version)
    await sweeper(gateway, days=8).sweep()
    assert not await is_stored(gateway, version)
    assert await files(gateway, version) == "removed"
    events = (await gateway.admin.get("/admin/audit?limit=1")).body["data"]
    assert [(event["action"], event["subject"]) for event in events] == [
        ("adapter.files_removed", version)
    ]
    assert events[0]["detail"]["bytes"] > 0


async def test_what_is_removed_is_removed_once(gateway: GatewayUnderTest, folder: Path) -> None:
    await retired(gateway, folder)
    for _ in range(3):
        await sweeper(gateway, days=8).sweep()
    events = (await gateway.admin.get("/admin/audit?limit=100")).body["data"]
    assert [event["action"] for event in events].count("adapter.files_removed") == 1


async def test_a_version_whose_files_are_gone_can_be_registered_again(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = await retired(gateway, folder)
    await sweeper(gateway, days=8).sweep()
    back = await gateway.register(folder)
    assert (back["id"], back["state"], back["files"]) == (version, "registered", "kept")
    assert await is_stored(gateway, version)
    await sweeper(gateway, days=100).sweep()
    assert await is_stored(gateway, version)


async def test_files_that_a_replica_still_holds_stay(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = str((await gateway.register(folder))["id"])
    replica = gateway.replica()
    await replica.beat()
    await replica.beat()
    assert (await gateway.admin.delete(f"{ADAPTERS}/{version}")).status == 200
    await sweeper(gateway, days=8).sweep()
    assert await is_stored(gateway, version)
    await replica.beat()
    await replica.beat()
    await sweeper(gateway, days=8).sweep()
    assert not await is_stored(gateway, version)


async def test_files_that_another_tenant_uses_stay_until_it_retires_them_too(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = await retired(gateway, folder)
    await gateway.register(folder, client=gateway.neighbour)
    await sweeper(gateway, days=8).sweep()
    assert await is_stored(gateway, version)
    assert (await gateway.neighbour.delete(f"{ADAPTERS}/{version}")).status == 200
    await sweeper(gateway, days=16).sweep()
    assert not await is_stored(gateway, version)
    for client in (gateway.admin, gateway.neighbour):
        assert (await client.get(f"{ADAPTERS}/{version}")).body["files"] == "removed"


async def test_nobody_registers_what_is_being_removed(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = await retired(gateway, folder)

    class Slow(ArtifactStore):
        """Is asked to register the version while it removes its files."""

        async def delete_folder(self, key: str) -> None:
            for client in (gateway.admin, gateway.neighbour):
                refused = await upload(client, tar_gz(files_of(folder)))
                assert (refused.status, refused.code) == (409, "adapter_being_removed")
            await super().delete_folder(key)

    slow = replace(sweeper(gateway, days=8), artifacts=Slow(store(gateway).url))
    await slow.sweep()
    assert await files(gateway, version) == "removed"
    assert (await gateway.register(folder))["files"] == "kept"
    assert await is_stored(gateway, version)


async def test_files_that_went_while_a_version_was_stored_are_stored_again(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    """The removal is over between the upload's storing and its entry in the registry."""
    version = await retired(gateway, folder)
    intake = gateway.resources.intake

    class Early(ArtifactStore):
        """Finds the files in place, and loses them before the registry knows."""

        async def put_folder(self, key: str, folder: Path) -> None:
            await super().put_folder(key, folder)
            if await files(gateway, version) == "kept":
                await sweeper(gateway, days=8).sweep()

    early = replace(intake, artifacts=Early(intake.artifacts.url))
    fill = early.from_archive(io.BytesIO(tar_gz(files_of(folder))))
    actor = Actor("default", "test")
    registered, _ = await early.register(actor, fill, Labels(), None)
    assert (registered.id, registered.state) == (version, "registered")
    assert await is_stored(gateway, version)


async def test_a_removal_that_was_cut_off_is_finished(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = await retired(gateway, folder)

    class Dying(ArtifactStore):
        async def delete_folder(self, key: str) -> None:
            raise ConnectionError("the store went away")

    dying = replace(sweeper(gateway, days=8), artifacts=Dying(store(gateway).url))
    with pytest.raises(ConnectionError):
        await dying.sweep()
    assert await files(gateway, version) == "removing"
    # Another gateway goes on when the lease of the one that died is over.
    await sweeper(gateway, days=9).sweep()
    assert await files(gateway, version) == "removed"
    assert not await is_stored(gateway, version)


async def test_one_gateway_removes_files_for_all(gateway: GatewayUnderTest, folder: Path) -> None:
    version = await retired(gateway, folder)
    one = sweeper(gateway, days=8)
    assert await leases.hold(one.registry, LEASE, "another", seconds=60)
    await one.sweep()
    assert await is_stored(gateway, version)


async def test_a_removal_that_stood_still_says_nothing_of_a_version_that_came_back(
    gateway: GatewayUnderTest, folder: Path
) -> None:
    version = await retired(gateway, folder)

    class Stalled(ArtifactStore):
        """Stands still until another gateway has removed the files and they are stored again."""

        async def delete_folder(self, key: str) -> None:
            await sweeper(gateway, days=9).sweep()
            await gateway.register(folder)

    stalled = replace(sweeper(gateway, days=8), artifacts=Stalled(store(gateway).url))
    await stalled.sweep()
    assert await files(gateway, version) == "kept"
    events = (await gateway.admin.get("/admin/audit?limit=100")).body["data"]
    assert [event["action"] for event in events].count("adapter.files_removed") == 1
