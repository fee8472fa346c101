"""Where adapter files may lie."""

from pathlib import Path

import pytest

from services.chassis.artifacts import ArtifactStore
from services.generator.adapters.local_cache import AdapterUnusable, LocalCache


@pytest.fixture
def cache(tmp_path: Path) -> LocalCache:
    return LocalCache(tmp_path / "adapters", ArtifactStore(f"file://{tmp_path}/store"), 32)


def test_the_path_of_a_version_holds_its_name_and_hash(cache: LocalCache, tmp_path: Path) -> None:
    folder = cache.folder("formal@0123456789ab")
    assert folder == tmp_path / "adapters" / "formal" / "0123456789ab"


@pytest.mark.parametrize(
    "version", ["../x@0123456789ab", "formal@../../../etc", "/etc@passwd", "formal", "@", "a@/b"]
)
def test_no_version_leads_outside(cache: LocalCache, version: str) -> None:
    with pytest.raises(AdapterUnusable):
        cache.folder(version)


def test_a_link_does_not_lead_outside_either(cache: LocalCache, tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "formal").symlink_to(tmp_path)
    with pytest.raises(AdapterUnusable):
        cache.folder("formal@0123456789ab")


def test_unfinished_copies_are_not_among_what_is_kept(cache: LocalCache, tmp_path: Path) -> None:
    assert cache.kept() == []
    (tmp_path / "adapters" / "formal" / "0123456789ab").mkdir(parents=True)
    (tmp_path / "adapters" / "formal" / ".0123456789ab.staging").mkdir()
    assert cache.kept() == ["formal@0123456789ab"]
