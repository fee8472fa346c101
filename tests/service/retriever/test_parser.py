"""The child that reads strangers' files, and what becomes of it when a file is hostile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from services.chassis.telemetry import open_registry
from services.retriever.children import ChildDied, start_child
from services.retriever.metrics import open_metrics
from services.retriever.parsing.outcomes import FileCode, Parsed, Refused
from services.retriever.parsing.parser import Parser, open_parser
from services.retriever.settings import MIB, Limits

pytestmark = pytest.mark.anyio

ODD = Path(__file__).parents[4] / "shared" / "data" / "odd_docs" / "manifest.jsonl"


def child_of(parser: Parser) -> int:
    assert parser.child_pid is not None
    return parser.child_pid


def environment_of(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


def limits_of(process: int) -> str:
    return Path(f"/proc/{process}/limits").read_text()


async def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read() -> None:
    limits = Limits(parse_timeout_seconds=1.0)
    async with open_parser(limits, open_metrics(open_registry())) as parser:
        assert isinstance(await parser.parse("a.txt", b"apple"), Parsed)
        os.kill(child_of(parser), signal.SIGSTOP)
        stuck = await parser.parse("b.txt", b"pear")
        assert isinstance(stuck, Refused)
        assert stuck.code is FileCode.TIMEOUT
        assert isinstance(await parser.parse("c.txt", b"plum"), Parsed)


async def test_a_file_that_kills_the_child_fails_alone() -> None:
    async with open_parser(Limits(), open_metrics(open_registry())) as parser:
        await parser.parse("a.txt", b"apple")
        former = child_of(parser)
        os.kill(former, signal.SIGSTOP)
        reading = asyncio.create_task(parser.parse("b.txt", b"pear"))
        await asyncio.sleep(0.1)
        os.kill(former, signal.SIGKILL)
        outcome = await reading
        assert isinstance(outcome, Refused)
        assert outcome.code is FileCode.CRASHED
        assert isinstance(await parser.parse("c.txt", b"plum"), Parsed)
        assert child_of(parser) != former


async def test_a_file_that_takes_too_much_memory_is_refused() -> None:
    limits = Limits(parse_memory_bytes=512 * MIB, parse_timeout_seconds=30)
    async with open_parser(limits, open_metrics(open_registry())) as parser:
        greedy = b"[" + b"0.5," * (8 * MIB - 1) + b"0]"
        outcome = await parser.parse("a.json", greedy)
        assert isinstance(outcome, Refused)
        assert outcome.code is FileCode.TOO_COMPLEX
        assert isinstance(await parser.parse("b.txt", b"pear"), Parsed)


async def test_a_file_that_nobody_waits_for_any_more_does_not_hold_up_the_next() -> None:
    limits = Limits(parse_timeout_seconds=600)
    async with open_parser(limits, open_metrics(open_registry())) as parser:
        await parser.parse("a.txt", b"apple")
        former = child_of(parser)
        os.kill(former, signal.SIGSTOP)
        reading = asyncio.create_task(parser.parse("b.txt", b"pear"))
        await asyncio.sleep(0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert isinstance(await parser.parse("c.txt", b"plum"), Parsed)
        assert child_of(parser) != former


async def test_a_child_that_answers_with_what_it_may_not_is_ended() -> None:
    lying = start_child("tests.fakes.lying_child", answers=(Parsed, Refused, FileCode))
    async with lying as child:
        assert await child.call("honest") == Refused(FileCode.EMPTY, "x")
        with pytest.raises(ChildDied):
            await child.call("lying")
        assert child.died.is_set()


async def test_the_child_writes_no_files() -> None:
    async with open_parser(Limits(), open_metrics(open_registry())) as parser:
        await parser.parse("a.txt", b"apple")
        limits = limits_of(child_of(parser))
        (line,) = [line for line in limits.splitlines() if line.startswith("Max file size")]
        assert line.split()[3:5] == ["0", "0"]


async def test_the_child_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKSTONE_RETRIEVER_API_KEY", "secret")
    async with open_parser(Limits(), open_metrics(open_registry())) as parser:
        await parser.parse("a.txt", b"apple")
        environment = environment_of(child_of(parser))
        assert b"PATH=" in environment
        assert b"INKSTONE" not in environment


@pytest.mark.skipif(not ODD.exists(), reason="the collection of odd documents is not here")
async def test_odd_documents_from_the_wild_are_read_or_refused_for_the_right_reason() -> None:
    allowed: dict[str, set[str]] = {
        "ok": {"read"},
        "encrypted-empty": {"read"},
        "encrypted": {FileCode.ENCRYPTED},
        "no-text": {FileCode.EMPTY, FileCode.NO_TEXT_LAYER},
        "malformed": {"read", FileCode.UNREADABLE, FileCode.EMPTY, FileCode.NO_TEXT_LAYER},
        "not-a-document": {FileCode.UNREADABLE, FileCode.UNSUPPORTED},
        "unsupported-type": {FileCode.UNSUPPORTED},
    }
    wrong, seen = [], Counter[str]()
    async with open_parser(Limits(), open_metrics(open_registry())) as parser:
        for line in ODD.read_text().splitlines():
            row = json.loads(line)
            content = (ODD.parent.parent / row["file"]).read_bytes()
            outcome = await parser.parse(row["file"], content)
            got = "read" if isinstance(outcome, Parsed) else outcome.code
            seen[row["expect"]] += 1
            if got not in allowed[row["expect"]]:
                wrong.append((row["file"], row["expect"], got))
    assert wrong == []
    assert seen.total() > 30
