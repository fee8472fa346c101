"""Naming a base by its files."""

from __future__ import annotations

import hashlib

import pytest

from services.domain.fingerprint import base_fingerprint, belongs_to_base, chat_template_hash

FILES = [("config.json", "aa"), ("tokenizer.json", "bb"), ("model.safetensors", "cc")]


def test_the_order_and_files_beside_do_not_matter() -> None:
    beside = [("README.md", "xx"), ("chat_template.jinja", "yy"), ("model.gguf", "zz")]
    assert base_fingerprint([*reversed(FILES), *beside]) == base_fingerprint(FILES)


def test_the_name_is_the_hash_of_sorted_lines() -> None:
    lines = "config.json aa\nmodel.safetensors cc\ntokenizer.json bb"
    assert base_fingerprint(FILES) == hashlib.sha256(lines.encode()).hexdigest()[:12]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_another_content_is_another_base(place: int) -> None:
    changed = [(name, "dd" if i == place else digest) for i, (name, digest) in enumerate(FILES)]
    assert base_fingerprint(changed) != base_fingerprint(FILES)


def test_sharded_weights_belong_to_the_base() -> None:
    assert belongs_to_base("model-00001-of-00002.safetensors")
    assert not belongs_to_base("adapter_model.safetensors")


def test_a_folder_without_a_model_has_no_name() -> None:
    with pytest.raises(ValueError, match=r"config\.json"):
        base_fingerprint([("README.md", "aa")])


def test_a_template_is_named_by_its_text() -> None:
    assert chat_template_hash("{{ 가 }}") != chat_template_hash("{{ 나 }}")
    assert len(chat_template_hash("")) == 12
