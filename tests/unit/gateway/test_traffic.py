"""Callers come first: what runs beside them makes room."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.clients.traffic import Crowded, Traffic

pytestmark = pytest.mark.anyio


async def test_both_kinds_are_counted_while_they_run() -> None:
    traffic = Traffic()
    async with traffic.counted("a"), traffic.beside("a", callers=1), traffic.counted("b"):
        assert (traffic.of_callers("a"), traffic.all("a"), traffic.all("b")) == (1, 2, 1)
    assert (traffic.all("a"), traffic.all("b")) == (0, 0)


async def test_work_beside_callers_does_not_begin_where_they_are_too_many() -> None:
    traffic = Traffic()
    async with traffic.counted("a"):
        with pytest.raises(Crowded):
            async with traffic.beside("a", callers=0):
                raise AssertionError("it began")
        async with traffic.beside("b", callers=0):
            pass


async def test_one_caller_too_many_breaks_it_off_and_many_more_do_no_harm() -> None:
    traffic, began = Traffic(), asyncio.Event()

    async def work() -> None:
        async with traffic.beside("a", callers=1):
            began.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(work())
    await began.wait()
    async with traffic.counted("a"):
        await asyncio.sleep(0)
        assert not running.done()
        async with traffic.counted("a"), traffic.counted("a"), traffic.counted("a"):
            with pytest.raises(Crowded):
                await running
            async with traffic.counted("a"):
                assert traffic.all("a") == 5


async def test_a_time_out_of_the_work_itself_stays_one() -> None:
    traffic = Traffic()
    with pytest.raises(TimeoutError):
        async with traffic.beside("a", callers=0):
            raise TimeoutError
    assert traffic.all("a") == 0
