"""Adapters named by a path: nothing outside of the import folders can be reached."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.chassis.errors import ServiceError
from services.contracts.adapters import CONFIG_FILE, WEIGHTS_FILE
from services.gateway.adapters.importing import copy_adapter
from services.gateway.adapters.layout import AdapterLimits
from tests.fakes.adapters import write_adapter
from tests.fakes.archives import files_of

LIMITS = AdapterLimits(max_bytes=1_000_000, max_files=20)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    write_adapter(tmp_path / "imports" / "good", "good")
    write_adapter(tmp_path / "elsewhere" / "secret", "secret")
    return tmp_path / "imports"


def refusal(path: Path | str, *roots: Path, out: Path) -> str:
    with pytest.raises(ServiceError) as caught:
        copy_adapter(str(path), out, roots=roots, limits=LIMITS)
    return caught.value.code


def test_an_adapter_inside_an_import_folder_is_copied(root: Path, tmp_path: Path) -> None:
    copy_adapter(str(root / "good"), tmp_path / "out", roots=[root], limits=LIMITS)
    assert files_of(tmp_path / "out") == files_of(root / "good")


def test_a_path_outside_is_refused_whether_it_exists_or_not(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for path in (
        tmp_path / "elsewhere" / "secret",
        tmp_path / "nowhere",
        root / ".." / "elsewhere" / "secret",
        "/etc",
        "/proc/self/cwd",
        "relative",
        "",
        tmp_path / "imports-not",
    ):
        assert refusal(path, root, out=out) == "adapter_path_refused"
    assert refusal(root / "good", out=out) == "adapter_path_refused"
    assert not list(out.iterdir())


def test_a_link_that_leaves_the_folder_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "door").symlink_to(tmp_path / "elsewhere" / "secret")
    assert refusal(root / "door", root, out=tmp_path / "out") == "adapter_path_refused"
    write_adapter(root / "mixed", "mixed")
    (root / "mixed" / WEIGHTS_FILE).unlink()
    (root / "mixed" / WEIGHTS_FILE).symlink_to(tmp_path / "elsewhere" / "secret" / WEIGHTS_FILE)
    assert refusal(root / "mixed", root, out=tmp_path / "out") == "adapter_path_refused"


def test_a_link_inside_the_folder_is_followed(root: Path, tmp_path: Path) -> None:
    (root / "latest").symlink_to(root / "good")
    copy_adapter(str(root / "latest"), tmp_path / "out", roots=[root], limits=LIMITS)
    assert files_of(tmp_path / "out") == files_of(root / "good")


def test_a_pipe_in_place_of_the_weights_does_not_block(root: Path, tmp_path: Path) -> None:
    (root / "good" / WEIGHTS_FILE).unlink()
    os.mkfifo(root / "good" / WEIGHTS_FILE)
    assert refusal(root / "good", root, out=tmp_path / "out") == "adapter_path_refused"


def test_a_file_is_no_adapter_folder(root: Path, tmp_path: Path) -> None:
    path = root / "good" / CONFIG_FILE
    assert refusal(path, root, out=tmp_path / "out") == "adapter_path_refused"


def test_a_pickle_in_the_folder_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "good" / "training_args.bin").write_bytes(b"x")
    assert refusal(root / "good", root, out=tmp_path / "out") == "adapter_not_safetensors"


def test_a_large_adapter_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "good" / WEIGHTS_FILE).write_bytes(bytes(LIMITS.max_bytes + 1))
    assert refusal(root / "good", root, out=tmp_path / "out") == "adapter_too_large"
