"""The guard lets pass what is on its list, from who has the key, and nothing else."""

from typing import Any

import pytest

from services.generator.guard import ALLOWED, KEY_VARIABLE, OPEN, RouteGuard

pytestmark = pytest.mark.anyio

KEY = "s3cret"
AUTHORISED = [(b"authorization", f"Bearer {KEY}".encode())]


class Behind:
    """The app that the guard protects: counts what reaches it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def guard(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> RouteGuard:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    return RouteGuard(behind)


async def status(guard: RouteGuard, method: str, path: str, **scope: Any) -> int:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the guard reads no body")

    request = {"type": "http", "method": method, "path": path, "headers": AUTHORISED, **scope}
    await guard(request, receive, send)
    code: int = sent[0]["status"]
    return code


@pytest.mark.parametrize(("method", "path"), sorted(ALLOWED))
async def test_an_allowed_route_with_the_key_passes(
    guard: RouteGuard, behind: Behind, method: str, path: str
) -> None:
    assert await status(guard, method, path) == 200
    assert behind.reached == ["http"]


@pytest.mark.parametrize(("method", "path"), sorted(ALLOWED - OPEN))
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", KEY.encode())],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", f"Bearer {KEY}x".encode())],
        [*AUTHORISED, *AUTHORISED],
        [(b"x-api-key", KEY.encode())],
    ],
)
async def test_an_allowed_route_without_the_key_is_a_401(
    guard: RouteGuard, behind: Behind, method: str, path: str, headers: Any
) -> None:
    assert await status(guard, method, path, headers=headers) == 401
    assert behind.reached == []


async def test_health_needs_no_key(guard: RouteGuard) -> None:
    assert await status(guard, "GET", "/health", headers=[]) == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/adapters"),
        ("DELETE", "/adapters/x"),
        ("POST", "/invocations"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/tokenize"),
        ("POST", "/detokenize"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/ping"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/messages"),
        ("POST", "/inference/v1/generate"),
        ("DELETE", "/v1/models"),
        ("POST", "/v1/models"),
        ("OPTIONS", "/v1/chat/completions"),
        ("HEAD", "/v1/models"),
        ("GET", "//v1/models"),
        ("GET", "/v1//models"),
        ("GET", "/v1/models/"),
        ("GET", "/V1/models"),
        ("GET", "/v1/models/../models"),
        ("GET", "/v1/models%2f"),
        ("GET", "v1/models"),
        ("GET", ""),
        ("GET", "/"),
    ],
)
async def test_every_other_route_is_closed_even_with_the_key(
    guard: RouteGuard, behind: Behind, method: str, path: str
) -> None:
    assert await status(guard, method, path) == 404
    assert behind.reached == []


async def test_a_path_that_was_sent_encoded_is_closed(guard: RouteGuard, behind: Behind) -> None:
    assert await status(guard, "GET", "/v1/models", raw_path=b"/v1/%6dodels") == 404
    assert await status(guard, "GET", "/v1/models", raw_path=b"/v1%2fmodels") == 404
    assert behind.reached == []


async def test_a_query_does_not_close_a_route(guard: RouteGuard) -> None:
    assert await status(guard, "GET", "/v1/models", raw_path=b"/v1/models?x=%2f") == 200


async def test_a_websocket_is_closed(guard: RouteGuard, behind: Behind) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await guard({"type": "websocket", "path": "/v1/realtime", "headers": AUTHORISED}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert behind.reached == []


async def test_the_lifespan_passes(guard: RouteGuard, behind: Behind) -> None:
    async def nothing(*_: Any) -> Any:
        return None

    await guard({"type": "lifespan"}, nothing, nothing)
    assert behind.reached == ["lifespan"]


@pytest.mark.parametrize("key", [None, ""])
def test_an_engine_without_a_key_does_not_start(
    monkeypatch: pytest.MonkeyPatch, behind: Behind, key: str | None
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if key is not None:
        monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(RuntimeError, match=KEY_VARIABLE):
        RouteGuard(behind)


def test_the_guard_imports_the_standard_library_only() -> None:
    import ast
    import sys
    from pathlib import Path

    from services.generator import guard

    tree = ast.parse(Path(guard.__file__).read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
