"""Asking a model behind somebody else's endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.chassis.completions import (
    Endpoint,
    EndpointAway,
    EndpointRefused,
    EndpointUnusable,
    EndpointUrlInvalid,
    endpoint_url,
)
from services.chassis.http import open_session
from tests.fakes.completions import Failing, FakeCompletions, Said
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "안녕?"}]}


@asynccontextmanager
async def endpoint(fake: FakeCompletions, **options: Any) -> AsyncIterator[Endpoint]:
    async with running(fake.app) as url, open_session() as session:
        yield Endpoint("teacher", f"{url}/v1", session, **options)


async def test_an_answer_is_read_with_its_usage() -> None:
    async with endpoint(FakeCompletions(lambda _: "네!")) as teacher:
        given = await teacher.complete(BODY)
    assert (given.text, given.model) == ("네!", "big-2026-01-01")
    assert (given.prompt_tokens, given.completion_tokens) == (100, 20)


async def test_what_passes_by_is_tried_again() -> None:
    for status in (429, 500, 503, 408):
        fake = FakeCompletions(lambda _: "ok", failing=[Failing(status)])
        async with endpoint(fake) as teacher:
            assert (await teacher.complete(BODY)).text == "ok"
        assert len(fake.requests) == 1


async def test_an_endpoint_that_asks_for_more_patience_than_there_is_is_away() -> None:
    fake = FakeCompletions(
        lambda _: "ok", failing=[Failing(429, headers={"Retry-After": "3600"})] * 2
    )
    async with endpoint(fake, patience_seconds=60) as teacher:
        with pytest.raises(EndpointAway, match="told to fail"):
            await teacher.complete(BODY)
    assert fake.failing != []


async def test_nobody_there_is_away_too() -> None:
    async with open_session() as session:
        nobody = Endpoint("teacher", "http://127.0.0.1:9/v1", session, patience_seconds=0)
        with pytest.raises(EndpointAway):
            await nobody.complete(BODY)


@pytest.mark.parametrize(
    ("failing", "kind", "said"),
    [
        (Failing(401, "bad key"), EndpointUnusable, "does not take the key"),
        (Failing(404, "no such model"), EndpointUnusable, "no such model"),
        (Failing(429, "pay first", "insufficient_quota"), EndpointUnusable, "pay first"),
        (Failing(302), EndpointUnusable, "check the URL"),
        (Failing(400, "too long"), EndpointRefused, "too long"),
    ],
)
async def test_what_waiting_does_not_mend_is_said_at_once(
    failing: Failing, kind: type[Exception], said: str
) -> None:
    fake = FakeCompletions(lambda _: failing)
    async with endpoint(fake) as teacher:
        with pytest.raises(kind, match=said):
            await teacher.complete(BODY)


async def test_a_refusal_in_its_own_field_is_kept() -> None:
    fake = FakeCompletions(lambda _: Said(None, refusal="I can't help with that."))
    async with endpoint(fake) as teacher:
        given = await teacher.complete(BODY)
    assert (given.text, given.refusal) == ("", "I can't help with that.")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/openai/v1/chat/completions", "https://host/openai/v1"),
    ],
)
def test_a_url_is_brought_into_one_form(given: str, wanted: str) -> None:
    assert endpoint_url(given) == wanted


@pytest.mark.parametrize("given", ["host:8000/v1", "ftp://host", "https://k:s@host/v1", "http://["])
def test_what_is_no_url_or_holds_a_secret_is_refused(given: str) -> None:
    with pytest.raises(EndpointUrlInvalid) as caught:
        endpoint_url(given)
    assert "k:s" not in str(caught.value)
