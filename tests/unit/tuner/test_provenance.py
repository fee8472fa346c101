"""How a base and a prompt are named, so that training and serving can be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.domain.fingerprint import base_fingerprint, belongs_to_base
from services.tuner.provenance import fingerprint_folder, license_of, template_hash_of

FILES = [("config.json", "aa"), ("model.safetensors", "bb"), ("tokenizer.json", "cc")]


def test_a_fingerprint_does_not_depend_on_the_order() -> None:
    assert base_fingerprint(FILES) == base_fingerprint(FILES[::-1])
    assert len(base_fingerprint(FILES)) == 12


def test_a_fingerprint_changes_with_any_file_of_the_base() -> None:
    for name, _ in FILES:
        changed = [(each, "dd" if each == name else digest) for each, digest in FILES]
        assert base_fingerprint(changed) != base_fingerprint(FILES)


def test_other_files_do_not_change_a_fingerprint() -> None:
    assert base_fingerprint([*FILES, ("README.md", "ee")]) == base_fingerprint(FILES)
    assert belongs_to_base("model-00001-of-00002.safetensors")
    assert not belongs_to_base("generation_config.json")


def test_a_folder_without_a_base_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file names this base"):
        fingerprint_folder(tmp_path)
    assert template_hash_of(tmp_path) is None


def test_a_folder_is_named_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", "utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = fingerprint_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert fingerprint_folder(tmp_path) != before


@pytest.mark.parametrize(
    ("file", "text", "license_"),
    [
        (
            "fingerprint.json",
            '{"license": "https://example.com/terms"}',
            "https://example.com/terms",
        ),
        ("README.md", "---\ntags: [a]\nlicense: apache-2.0\n---\n# license: mit\n", "apache-2.0"),
        ("README.md", "# A model\nlicense: mit\n", "unknown"),
    ],
)
def test_a_base_s_licence_is_what_its_folder_says(
    tmp_path: Path, file: str, text: str, license_: str
) -> None:
    (tmp_path / file).write_text(text, "utf-8")
    assert license_of(tmp_path) == license_
