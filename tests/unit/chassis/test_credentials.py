"""Secrets in files, API keys, and the shared key between two services."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from services.chassis.credentials import (
    bearer_token,
    key_hash,
    key_id_of,
    new_api_key,
    new_key_id,
    read_or_create_secret,
    require_shared_key,
)
from services.chassis.errors import Unauthenticated


def connection(authorization: str | None) -> HTTPConnection:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    return HTTPConnection({"type": "http", "headers": headers})


def test_a_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "agent.key"
    secret = read_or_create_secret(path)
    assert len(secret) == 43
    assert read_or_create_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["agent.key"]


def test_a_given_secret_is_kept_and_does_not_replace_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "app.key"
    assert read_or_create_secret(path, "first") == "first"
    assert read_or_create_secret(path, "second") == "first"


def test_many_starters_end_up_with_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "engine.key"
    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(read_or_create_secret, [path] * 64))
    assert secrets == {path.read_text().strip()}
    assert [file.name for file in path.parent.iterdir()] == ["engine.key"]


@pytest.mark.parametrize("authorization", ["Bearer key", "bearer  key ", "BEARER key"])
def test_a_bearer_token_is_read(authorization: str) -> None:
    assert bearer_token(connection(authorization)) == "key"


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic key", "key"])
def test_anything_else_is_no_token(authorization: str | None) -> None:
    assert bearer_token(connection(authorization)) is None


def test_the_shared_key_lets_its_holder_pass() -> None:
    require_shared_key(connection("Bearer secret"), "secret")


@pytest.mark.parametrize("authorization", [None, "Bearer other", "Bearer secret2", "Bearer 비밀"])
def test_another_key_is_refused(authorization: str | None) -> None:
    with pytest.raises(Unauthenticated):
        require_shared_key(connection(authorization), "secret")


@pytest.mark.parametrize("authorization", [None, "Bearer "])
def test_a_service_without_a_key_lets_nobody_pass(authorization: str | None) -> None:
    with pytest.raises(Unauthenticated):
        require_shared_key(connection(authorization), "")


def test_an_api_key_shows_its_id_and_hides_the_rest() -> None:
    key_id = new_key_id()
    key = new_api_key(key_id)
    assert key_id_of(key) == key_id
    assert len(key) == len("ink_") + 8 + 1 + 43
    assert new_api_key(key_id) != key
    assert new_api_key(key_id, seed=b"x" * 32) == new_api_key(key_id, seed=b"x" * 32)


@pytest.mark.parametrize("text", ["", "ink_", "sk-123", "ink_abc_def", "ink_12345678_" + "x" * 44])
def test_what_is_no_api_key_has_no_id(text: str) -> None:
    assert key_id_of(text) is None


def test_a_key_is_kept_as_a_hash() -> None:
    assert key_hash("a") != key_hash("b")
    assert len(key_hash("a")) == 64
