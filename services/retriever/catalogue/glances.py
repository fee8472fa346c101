"""Short reads of a SQLite catalogue, as every search makes one: those that wait share a visit.

Through the asynchronous driver a read visits a thread for each statement, and for begin and end.
Here one visit does all of it, in one transaction for everybody who waited when it began.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

Looked = TypeVar("Looked")
_Look = Callable[[Connection], Any]
_Waiting = tuple[_Look, asyncio.Future[Any]]


class Glances:
    """Reads in a thread of their own, one transaction after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="glances")
        self._waiting: list[_Waiting] = []
        self._visiting = False

    async def glance(self, look: Callable[[Connection], Looked]) -> Looked:
        """Read what was committed before this call."""
        seen: asyncio.Future[Looked] = asyncio.get_running_loop().create_future()
        self._waiting.append((look, seen))
        if not self._visiting:
            self._visit()
        return await seen

    def close(self) -> None:
        """End the thread and its connection."""
        self._executor.shutdown()
        self._engine.dispose()

    def _visit(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._visiting = True
        looks = [look for look, seen in waiting if not seen.done()]
        visit = asyncio.get_running_loop().run_in_executor(self._executor, self._look, looks)
        asked = [seen for _, seen in waiting if not seen.done()]
        visit.add_done_callback(functools.partial(self._tell, asked))

    def _look(self, looks: Sequence[_Look]) -> list[Any]:
        with self._engine.begin() as connection:
            return [_outcome(look, connection) for look in looks]

    def _tell(self, asked: Sequence[asyncio.Future[Any]], visit: asyncio.Future[list[Any]]) -> None:
        self._visiting = False
        if self._waiting:
            self._visit()
        failed = visit.exception()
        outcomes = [failed] * len(asked) if failed else visit.result()
        for seen, outcome in zip(asked, outcomes, strict=True):
            if seen.done():
                continue
            if isinstance(outcome, BaseException):
                seen.set_exception(outcome)
            else:
                seen.set_result(outcome)


def _outcome(look: _Look, connection: Connection) -> Any:
    try:
        return look(connection)
    except Exception as error:  # noqa: BLE001 - belongs to the one who asked
        return error
