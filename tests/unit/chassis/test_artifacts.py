"""The artifact store: jailed, complete or absent, and calm about two writers."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from services.chassis.artifacts import ArtifactStore, sha256_of
from services.chassis.errors import NotFound

pytestmark = pytest.mark.anyio

KEY = "adapters/voice/0123456789ab"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{root}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "가방"
    folder.mkdir()
    (folder / "설정.json").write_text('{"이름": "목소리"}')
    (folder / "weights.bin").write_bytes(b"\x00\x01")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def test_a_folder_comes_back_as_it_went_in(
    store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    assert not await store.exists(KEY)
    await store.put_folder(KEY, folder)
    assert await store.exists(KEY)
    await store.fetch_folder(KEY, tmp_path / "copies" / "한 벌")
    assert contents(tmp_path / "copies" / "한 벌") == contents(folder)


async def test_a_store_in_memory_works_alike(folder: Path, tmp_path: Path) -> None:
    store = ArtifactStore("memory://inkstone-artifacts-test")
    await store.put_folder(KEY, folder)
    await store.fetch_folder(KEY, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(folder)
    await store.delete_folder(KEY)
    assert not await store.exists(KEY)


async def test_what_is_stored_is_never_overwritten(
    store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    await store.put_folder(KEY, folder)
    before = contents(folder)
    (folder / "weights.bin").write_bytes(b"changed")
    await store.put_folder(KEY, folder)
    await store.fetch_folder(KEY, tmp_path / "copy")
    assert contents(tmp_path / "copy") == before


@pytest.mark.parametrize(
    "key", ["", ".", "/etc", "..", "../outside", "adapters/../../outside", "a/..", "a/b/.."]
)
async def test_a_key_cannot_leave_the_store(store: ArtifactStore, folder: Path, key: str) -> None:
    for refused in (
        store.put_folder(key, folder),
        store.fetch_folder(key, folder.parent / "copy"),
        store.delete_folder(key),
        store.exists(key),
    ):
        with pytest.raises(ValueError, match="not a relative path"):
            await refused
    assert not (folder.parent / "copy").exists()


async def test_a_missing_key_is_not_found_and_leaves_nothing(
    store: ArtifactStore, tmp_path: Path
) -> None:
    with pytest.raises(NotFound):
        await store.fetch_folder(KEY, tmp_path / "copies" / "copy")
    assert not (tmp_path / "copies").exists()


async def test_deleting_twice_is_no_error(store: ArtifactStore, folder: Path) -> None:
    await store.put_folder(KEY, folder)
    await store.delete_folder(KEY)
    await store.delete_folder(KEY)
    assert not await store.exists(KEY)


async def test_an_empty_folder_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(ValueError, match="plain files"):
        await store.put_folder(KEY, tmp_path / "empty")
    assert not await store.exists(KEY)


async def test_a_link_is_never_followed_into_the_store(
    store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "linked").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="no links"):
        await store.put_folder(KEY, folder)
    assert not await store.exists(KEY)


async def test_a_put_that_fails_leaves_nothing_behind(
    store: ArtifactStore, folder: Path, root: Path
) -> None:
    await store.put_folder("adapters/voice/other", folder)
    (root / "adapters" / "taken").write_text("a file where a folder should be")
    with pytest.raises(OSError):
        await store.put_folder("adapters/taken/0123456789ab", folder)
    assert list((root / ".staging").iterdir()) == []


def test_two_writers_of_one_key_leave_one_complete_folder(
    store: ArtifactStore, folder: Path, root: Path
) -> None:
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(anyio.run, store.put_folder, KEY, folder) for _ in range(32)]:
            done.result()
    assert contents(root / KEY) == contents(folder)
    assert list((root / ".staging").iterdir()) == []


async def test_a_writer_that_comes_second_changes_nothing(
    store: ArtifactStore, root: Path, folder: Path
) -> None:
    await store.put_folder(KEY, folder)
    before = contents(root / KEY)
    (folder / "weights.bin").write_bytes(b"late")
    await store.put_folder(KEY, folder)
    assert contents(root / KEY) == before


async def test_what_a_killed_writer_left_out_of_an_object_store_is_added(
    folder: Path, tmp_path: Path
) -> None:
    store = ArtifactStore("memory://inkstone-artifacts-killed")
    half = tmp_path / "half"
    half.mkdir()
    (half / "weights.bin").write_bytes((folder / "weights.bin").read_bytes())
    await store.put_folder(KEY, half)
    await store.put_folder(KEY, folder)
    await store.fetch_folder(KEY, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(folder)
    await store.delete_folder(KEY)


def test_a_listing_is_never_kept(store: ArtifactStore) -> None:
    for one in (store, ArtifactStore("memory://inkstone-artifacts-listing")):
        filesystem, _ = one._open()
        assert filesystem.storage_options["use_listings_cache"] is False


async def test_two_readers_of_one_key_leave_one_complete_copy(
    store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    await store.put_folder(KEY, folder)
    copy = tmp_path / "copies" / "copy"
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(anyio.run, store.fetch_folder, KEY, copy) for _ in range(32)]:
            done.result()
    assert contents(copy) == contents(folder)
    assert [entry.name for entry in copy.parent.iterdir()] == ["copy"]


async def test_a_folder_that_is_there_already_is_not_touched(
    store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    await store.put_folder(KEY, folder)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine").write_text("mine")
    await store.fetch_folder(KEY, tmp_path / "copy")
    assert contents(tmp_path / "copy") == {"mine": b"mine"}


def test_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    content = b"x" * (3 * 1024 * 1024 + 1)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


async def test_a_stored_file_comes_back_in_pieces(store: ArtifactStore, root: Path) -> None:
    content = bytes(range(256)) * 10_000
    await store.put_file("files/1/content", io.BytesIO(content))
    pieces = [piece async for piece in store.blocks("files/1/content")]
    assert b"".join(pieces) == content
    assert len(pieces) == 3
    assert not (root / ".staging").exists()
    await store.delete_folder("files/1")
    assert not (root / "files" / "1").exists()


async def test_a_file_that_is_not_there_is_not_found(store: ArtifactStore) -> None:
    with pytest.raises(NotFound):
        await anext(aiter(store.blocks("files/1/content")))
    for key in ("../out", "/etc/passwd"):
        with pytest.raises(ValueError):
            await store.put_file(key, io.BytesIO(b"x"))
        with pytest.raises(ValueError):
            await anext(aiter(store.blocks(key)))
