"""Scores running assistants on the held-out cases, through the gateway, as an app is served.

Every case goes through the gateway, so retrieval, prompt, adapter and citation checks are the ones
that an app meets. Each assistant is asked twice: with its documents, and with retrieval off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI
from rich.console import Console
from rich.table import Table

from examples.evaluation.cases import Case, read_cases
from services.contracts.assistants import Abstention

PARALLEL = 4
"""Requests at a time."""


@dataclass(frozen=True, slots=True)
class Served:
    """What one case got from one assistant."""

    assistant: str
    retrieval: bool
    case: str
    question: str
    answer: str
    contains: bool
    cites: bool
    abstained: bool
    passed: bool


async def ask(client: AsyncOpenAI, assistant: str, case: Case, *, retrieval: bool) -> Served:
    """Ask one case and judge the reply by the case's own checks."""
    reply = await client.chat.completions.create(
        model=assistant,
        messages=[{"role": "user", "content": case.question}],
        temperature=0,
        extra_body={"retrieval": {"enabled": retrieval}},
    )
    extra: dict[str, Any] = reply.model_extra or {}
    text = reply.choices[0].message.content or ""
    contains = any(span.lower() in text.lower() for span in case.accepted)
    cites = case.document in {one["document_id"] for one in extra["citations"]}
    said = Abstention()
    abstained = extra["inkstone"]["outcome"] == "abstained" or said.en in text or said.ko in text
    passed = contains and not abstained if case.answerable else abstained
    return Served(
        assistant, retrieval, case.id, case.question, text, contains, cites, abstained, passed
    )


async def run(client: AsyncOpenAI, assistants: Sequence[str]) -> list[Served]:
    """Ask every case of every assistant, with and without retrieval."""
    room = asyncio.Semaphore(PARALLEL)

    async def one(assistant: str, case: Case, *, retrieval: bool) -> Served:
        async with room:
            return await ask(client, assistant, case, retrieval=retrieval)

    return await asyncio.gather(
        *(
            one(assistant, case, retrieval=retrieval)
            for assistant in assistants
            for retrieval in (True, False)
            for case in read_cases()
        )
    )


def table(results: Sequence[Served]) -> Table:
    """Show the shares by assistant."""
    answerable = {case.id for case in read_cases() if case.answerable}
    shown = Table(
        "assistant", "retrieval", "answered right", "English", "Korean", "cites the document",
        "abstains rightly", "abstains wrongly", box=None,
    )  # fmt: skip
    for key in dict.fromkeys((one.assistant, one.retrieval) for one in results):
        rows = [one for one in results if (one.assistant, one.retrieval) == key]
        asked = [one for one in rows if one.case in answerable]
        open_ended = [one for one in rows if one.case not in answerable]
        shown.add_row(
            key[0],
            "on" if key[1] else "off",
            _share([one.passed for one in asked]),
            _share([one.passed for one in asked if one.case.startswith("en")]),
            _share([one.passed for one in asked if one.case.startswith("ko")]),
            _share([one.cites for one in asked if not one.abstained]),
            _share([one.abstained for one in open_ended]),
            _share([one.abstained for one in asked]),
        )
    return shown


def _share(claims: Sequence[bool]) -> str:
    return f"{sum(claims)}/{len(claims)}"


async def _run_on(url: str, key: str, assistants: Sequence[str]) -> list[Served]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key) as client:
        return await run(client, assistants)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("examples.evaluation.served", description=__doc__)
    parser.add_argument("assistants", nargs="+")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key-file", type=Path, default=Path(".inkstone/keys/app.key"))
    parser.add_argument("--out", type=Path, help="write every answer there, as JSON lines")
    options = parser.parse_args()
    key = options.key_file.read_text().strip()
    found = asyncio.run(_run_on(options.url, key, options.assistants))
    if options.out is not None:
        lines = [json.dumps(asdict(one), ensure_ascii=False) for one in found]
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    Console().print(table(found))
