"""The form of API keys."""

from __future__ import annotations

import hashlib

import pytest

from services.chassis.credentials import key_hash, key_id_of, new_api_key, new_key_id


def test_a_key_shows_its_id_and_keeps_256_random_bits() -> None:
    key_id = new_key_id()
    key = new_api_key(key_id)
    assert key.startswith(f"ink_{key_id}_")
    assert len(key) == 4 + 8 + 1 + 43
    assert key_id_of(key) == key_id
    assert new_api_key(key_id) != key


def test_a_seed_gives_the_same_key_again() -> None:
    assert new_api_key("abcdefgh", bytes(32)) == new_api_key("abcdefgh", bytes(32))
    assert new_api_key("abcdefgh", bytes(32)) != new_api_key("abcdefgh", b"\x01" * 32)


def test_ids_are_eight_letters_and_digits_and_differ() -> None:
    ids = {new_key_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(key_id) == 8 and key_id.isalnum() and key_id.isascii() for key_id in ids)


@pytest.mark.parametrize("other", ["", "ink_", "ink_abcdefgh_short", "sk-" + "x" * 50, "ink_열쇠"])
def test_something_else_has_no_id(other: str) -> None:
    assert key_id_of(other) is None


def test_only_the_hash_of_the_whole_key_is_kept() -> None:
    key = new_api_key("abcdefgh")
    assert key_hash(key) == hashlib.sha256(key.encode()).hexdigest()
