"""An engine as a child process, with small programs in the engine's place."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from services.generator.engine_process import FIRST_PHASE, EngineProcess, running_engine

pytestmark = pytest.mark.anyio

OBEDIENT = "import time; time.sleep(3600)"
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
print(child.pid, flush=True)
time.sleep(3600)
"""


def program(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def until_written(log: Path) -> str:
    deadline = time.monotonic() + 30
    while not (text := await asyncio.to_thread(log.read_text)) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return text


async def test_it_ends_when_the_block_ends(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "engine.log"
    async with running_engine(program(OBEDIENT), os.environ, log, patience_seconds=10) as engine:
        assert engine.exit_status is None
        assert os.getpgid(engine.pid) == engine.pid
    assert engine.exit_status == -15


async def test_what_does_not_end_in_time_is_killed_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    async with running_engine(program(STUBBORN), os.environ, log, patience_seconds=0.1) as engine:
        child = int(await until_written(log))
        assert is_running(child)
    assert engine.exit_status == -9
    deadline = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_children_left_by_an_engine_that_ended_are_killed(tmp_path: Path) -> None:
    source = STUBBORN.replace("time.sleep(3600)\n", "sys.exit(3)\n")
    log = tmp_path / "engine.log"
    async with running_engine(program(source), os.environ, log, patience_seconds=0.1) as engine:
        assert await engine.wait() == 3
        child = int(await until_written(log))
    deadline = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    for word in ("first", "second"):
        async with running_engine(
            program(f"print({word!r})"), os.environ, log, patience_seconds=5
        ) as engine:
            await engine.wait()
    assert log.read_text().strip() == "second"
    assert log.with_name("engine.log.1").read_text().strip() == "first"


async def test_its_log_says_how_far_the_start_has_come(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.touch()
    lines = [
        ("INFO Initializing a V1 LLM engine (v0.32.0)", "starting the engine core"),
        ("INFO Starting to load model x", "loading weights"),
        ("INFO Loading weights took 0.1 seconds", "warming up"),
        ("INFO init engine took 2 s", "opening the server"),
    ]
    process = await asyncio.create_subprocess_exec(*program("pass"))
    engine = EngineProcess(process, log)
    assert engine.phase() == FIRST_PHASE
    with log.open("a") as file:
        for line, phase in lines:
            file.write(line[:10])
            file.flush()
            before = engine.phase()
            file.write(line[10:] + "\n")
            file.flush()
            assert engine.phase() == phase != before
    await process.wait()


async def test_a_program_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with running_engine(
            [str(tmp_path / "nothing")], {}, tmp_path / "engine.log", patience_seconds=1
        ):
            raise AssertionError("it cannot have started")
