"""What a training process writes is read to its end, however long its lines are."""

from __future__ import annotations

import asyncio
import sys

import pytest

from services.tuner.watching import LONGEST_LINE, Watch, lines_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_line_longer_than_is_kept_is_cut_and_the_next_one_is_whole() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"x" * (3 * LONGEST_LINE) + b"\nnext\nlast")
    stream.feed_eof()
    lines = [line async for line in lines_of(stream)]
    assert [len(lines[0]), *lines[1:]] == [LONGEST_LINE, b"next", b"last"]


async def test_a_process_that_fails_with_a_long_reason_ends_and_the_reason_is_heard() -> None:
    program = (
        "import json, sys; sys.stderr.write('e' * 300_000 + chr(10));"
        "print(json.dumps({'event': 'failed', 'code': 'row_shape', 'message': 'm' * 300_000}))"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=pipe, stderr=pipe
    )
    watch = Watch(lambda: 0.0)
    reading = asyncio.gather(watch.progress_of(process), watch.errors_of(process))
    await asyncio.wait_for(asyncio.gather(reading, process.wait()), 60)
    assert watch.failure == ("row_shape", "m" * 300_000)
