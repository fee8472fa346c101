"""Archives that operators upload: only what makes an adapter comes out, whatever went in."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import ServiceError
from services.contracts.adapters import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE
from services.gateway.adapters.layout import AdapterLimits, AdapterRefused, AdapterTooLarge
from services.gateway.adapters.unpacking import unpack
from tests.fakes.adapters import write_adapter
from tests.fakes.archives import Files, files_of, link, tar_gz, zip_link, zipped

LIMITS = AdapterLimits(max_bytes=1_000_000, max_files=20)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return files_of(write_adapter(tmp_path / "adapter", "mark"))


def unpacked(archive: bytes, tmp_path: Path, limits: AdapterLimits = LIMITS) -> Files:
    folder = tmp_path / "out"
    folder.mkdir()
    unpack(io.BytesIO(archive), folder, limits)
    return files_of(folder)


def refusal(archive: bytes, tmp_path: Path, limits: AdapterLimits = LIMITS) -> str:
    with pytest.raises(ServiceError) as caught:
        unpacked(archive, tmp_path, limits)
    outside = {path for path in tmp_path.rglob("*") if path.name == "escaped"}
    assert not outside
    return caught.value.code


@pytest.mark.parametrize("prefix", ["", "my-adapter/", "./", "a/b/c/", "한글 폴더/"])
def test_the_three_files_come_out_of_every_kind_of_archive(
    prefix: str, files: Files, tmp_path: Path
) -> None:
    named = {prefix + name: content for name, content in files.items()}
    named[prefix + "README.md"] = b"# hello"
    named[prefix + "checkpoint-10/adapter_config.json"] = b"{}"
    for number, archive in enumerate((tar_gz(named), tar_gz(named, mode="w"), zipped(named))):
        (tmp_path / str(number)).mkdir()
        assert unpacked(archive, tmp_path / str(number)) == files


@pytest.mark.parametrize("name", ["/escaped", "../escaped", "a/../../escaped", "a\\..\\escaped"])
def test_a_name_that_leaves_the_folder_is_refused(name: str, files: Files, tmp_path: Path) -> None:
    hostile = {**files, name: b"x"}
    for number, archive in enumerate((tar_gz(hostile), zipped(hostile))):
        (tmp_path / str(number)).mkdir()
        assert refusal(archive, tmp_path / str(number)) == "adapter_archive_unsafe"


def test_links_and_devices_are_refused(files: Files, tmp_path: Path) -> None:
    fifo = tarfile.TarInfo("pipe")
    fifo.type = tarfile.FIFOTYPE
    without = {name: content for name, content in files.items() if name != WEIGHTS_FILE}
    hostile = [
        tar_gz(without, link(WEIGHTS_FILE, "/etc/passwd")),
        tar_gz(without, link(WEIGHTS_FILE, "/etc/passwd", hard=True)),
        tar_gz(files, fifo),
        zipped(without, zip_link(WEIGHTS_FILE, "/etc/passwd")),
    ]
    for number, archive in enumerate(hostile):
        (tmp_path / str(number)).mkdir()
        assert refusal(archive, tmp_path / str(number)) == "adapter_archive_unsafe"


def test_a_bomb_is_refused_before_it_is_unpacked(files: Files, tmp_path: Path) -> None:
    bomb = {**files, "zeros": bytes(10_000_000)}
    for number, archive in enumerate((tar_gz(bomb), zipped(bomb), gzip.compress(bytes(10**7)))):
        assert len(archive) < 50_000
        (tmp_path / str(number)).mkdir()
        assert refusal(archive, tmp_path / str(number)) == "adapter_too_large"


def test_a_zip_that_understates_a_size_is_refused(files: Files, tmp_path: Path) -> None:
    honest = zipped({**files, WEIGHTS_FILE: bytes(2_000_000)})
    claimed = honest.replace(struct.pack("<L", 2_000_000), struct.pack("<L", 1_000))
    assert refusal(claimed, tmp_path) in {"adapter_archive_unreadable", "adapter_too_large"}


def test_too_many_files_are_refused(files: Files, tmp_path: Path) -> None:
    many = {**files, **{f"file-{n}": b"" for n in range(30)}}
    for number, archive in enumerate((tar_gz(many), zipped(many))):
        (tmp_path / str(number)).mkdir()
        assert refusal(archive, tmp_path / str(number)) == "adapter_archive_unsafe"


def test_a_zip_directory_of_many_megabytes_is_not_read(files: Files, tmp_path: Path) -> None:
    archive = bytearray(zipped(files))
    end = archive.rfind(b"PK\x05\x06")
    archive[end + 12 : end + 16] = struct.pack("<L", 64 * 1024 * 1024)
    assert refusal(bytes(archive), tmp_path) == "adapter_archive_unsafe"
    with_locator = archive[:end] + b"PK\x06\x07" + bytes(16) + archive[end:]
    (tmp_path / "locator").mkdir()
    assert refusal(bytes(with_locator), tmp_path / "locator") == "adapter_archive_unsafe"


def test_a_tar_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    header.size = 4 * 1024**3
    archive = header.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)
    assert refusal(archive, tmp_path) == "adapter_archive_unreadable"


def test_the_same_name_twice_is_refused(files: Files, tmp_path: Path) -> None:
    again = tarfile.TarInfo(CONFIG_FILE)
    assert refusal(tar_gz(files, again), tmp_path) == "adapter_archive_unsafe"


def test_an_encrypted_or_oddly_compressed_member_is_refused(files: Files, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert refusal(packed.getvalue(), tmp_path) == "adapter_archive_unsafe"
    encrypted = bytearray(zipped(files))
    first = encrypted.find(b"PK\x01\x02")
    encrypted[first + 8] |= 1
    (tmp_path / "encrypted").mkdir()
    assert refusal(bytes(encrypted), tmp_path / "encrypted") == "adapter_archive_unsafe"


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "training_args.bin", "optimizer.pt", "x.PKL", "sub/y.pth"]
)
def test_a_pickle_anywhere_is_refused(name: str, files: Files, tmp_path: Path) -> None:
    assert refusal(tar_gz({**files, name: b"x"}), tmp_path) == "adapter_not_safetensors"


@pytest.mark.parametrize("missing", [CONFIG_FILE, WEIGHTS_FILE])
def test_an_archive_without_an_adapter_says_what_is_missing(
    missing: str, files: Files, tmp_path: Path
) -> None:
    del files[missing]
    assert refusal(zipped(files), tmp_path) == "adapter_incomplete"


def test_a_manifest_may_be_missing(files: Files, tmp_path: Path) -> None:
    del files[MANIFEST_FILE]
    assert set(unpacked(tar_gz(files), tmp_path)) == {CONFIG_FILE, WEIGHTS_FILE}


def test_two_adapters_side_by_side_are_ambiguous(files: Files, tmp_path: Path) -> None:
    two = {f"{folder}/{name}": c for folder in "ab" for name, c in files.items()}
    assert refusal(tar_gz(two), tmp_path) == "adapter_ambiguous"


@pytest.mark.parametrize("content", [b"", b"x", b"PK", b"PK\x03\x04", b"\x1f\x8b", b"{}" * 500])
def test_something_else_is_unreadable(content: bytes, tmp_path: Path) -> None:
    assert refusal(content, tmp_path) == "adapter_archive_unreadable"


def test_a_zip_of_a_version_to_come_is_unreadable(files: Files, tmp_path: Path) -> None:
    archive = bytearray(zipped(files))
    archive[archive.find(b"PK\x01\x02") + 6] = 75
    assert refusal(bytes(archive), tmp_path) == "adapter_archive_unreadable"


def test_a_truncated_archive_is_unreadable(files: Files, tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(200_000)
    for number, archive in enumerate((tar_gz({"noise": noise, **files}), zipped(files))):
        (tmp_path / str(number)).mkdir()
        cut = archive[: len(archive) // 2]
        assert refusal(cut, tmp_path / str(number)) == "adapter_archive_unreadable"


@given(data=st.data())
def test_a_damaged_archive_never_crashes(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    files = files_of(write_adapter(folder / "adapter", "mark"))
    kind = data.draw(st.sampled_from(["zip", "tar", "gz"]))
    archive = bytearray(
        zipped(files) if kind == "zip" else tar_gz(files, mode="w" if kind == "tar" else "w:gz")
    )
    for _ in range(data.draw(st.integers(1, 8))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    (folder / "out").mkdir()
    with contextlib.suppress(AdapterRefused, AdapterTooLarge):
        unpack(io.BytesIO(bytes(archive)), folder / "out", LIMITS)
