"""Changes that are repeated behind the index that serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.retriever.errors import IndexUnavailable
from services.retriever.index.following import MOST_BEHIND, TRIES, Follower
from services.retriever.index.port import Index
from services.retriever.index.switching import SwitchingIndex

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def following() -> AsyncIterator[Follower]:
    """A follower of changes that mind no index."""
    async with asyncio.TaskGroup() as group:
        index = SwitchingIndex(opener=_never, group=group)
        follower = Follower(index)
        task = group.create_task(follower.follow())
        try:
            yield follower
        finally:
            task.cancel()


def _never(generation: int) -> contextlib.AbstractAsyncContextManager[Index]:
    raise AssertionError(generation)


def noting(done: list[int], number: int) -> Callable[[Index], Awaitable[None]]:
    async def change(index: Index) -> None:
        await asyncio.sleep(0)
        done.append(number)

    return change


async def test_changes_are_repeated_in_their_order() -> None:
    done: list[int] = []
    async with following() as follower:
        for number in range(20):
            await follower.tell(noting(done, number))
        assert follower.is_behind
        await follower.caught_up()
        assert done == list(range(20))
        assert not follower.is_behind


async def test_nobody_waits_for_a_busy_follower_until_it_is_far_behind() -> None:
    done: list[int] = []
    may_go = asyncio.Event()

    async def busy(index: Index) -> None:
        await may_go.wait()

    async with following() as follower:
        await follower.tell(busy)
        await asyncio.sleep(0)
        for number in range(MOST_BEHIND):
            await follower.tell(noting(done, number))
        late = asyncio.create_task(follower.tell(noting(done, MOST_BEHIND)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not late.done()
        may_go.set()
        await late
        await follower.caught_up()
        assert done == list(range(MOST_BEHIND + 1))


@pytest.mark.parametrize("failures", [1, TRIES - 1, TRIES])
async def test_a_change_that_fails_is_tried_again_before_the_follower_is_given_up(
    failures: int,
) -> None:
    done: list[int] = []
    left = failures

    async def failing(index: Index) -> None:
        nonlocal left
        if left:
            left -= 1
            raise IndexUnavailable("It is restarting.")
        done.append(1)

    async with following() as follower:
        await follower.tell(failing)
        await follower.tell(noting(done, 2))
        if failures < TRIES:
            await follower.caught_up()
            assert done == [1, 2]
        else:
            with pytest.raises(IndexUnavailable):
                await follower.caught_up()
            assert done == []
