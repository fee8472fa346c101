"""The main job from end to end: documents in, cited answers in two voices, a live adapter swap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from services.chassis.http import Deadlines, Peer, open_session
from services.cli.failures import CommandError
from services.cli.figures import Figures
from services.cli.gateway import Gateway
from services.cli.swap import LiveSwap, SwapReport
from services.cli.up import Stack, running_stack
from services.contracts.assistants import AssistantWrite, Profile, RetrievalPolicy
from services.contracts.evaluation_cases import EvaluationCase

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COLLECTION = "handbook"
VOICES = {"plain": None, "formal": "formal", "friendly": "friendly"}
"""Assistant and the adapter that gives it its voice; the plain one is the base alone."""

MARKERS = {"marker-a": "MARKER-A", "marker-b": "MARKER-B"}
SWAPS, WORKERS, PAUSE_SECONDS = 4, 2, 3.0
_LANGUAGES = {"en": "English", "ko": "한국어"}


class DemoFailedError(CommandError):
    """Something that the demo shows did not hold."""


@dataclass(slots=True)
class Clock:
    """How long each part took."""

    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part."""
        started = time.monotonic()
        yield
        self.parts[name] = time.monotonic() - started


async def run_demo(home: Path, port: int, console: Console) -> None:
    """Run the demo on a stack of its own and report.

    Raises:
        DemoFailedError: when a request failed, a wrong version answered or nothing was cited.
    """
    clock = Clock()
    started = time.monotonic()
    console.rule("[bold]Inkstone: facts from your documents, in your voice")
    async with running_stack(home, port, console) as stack, open_session() as session:
        clock.parts["start"] = stack.ready_seconds
        peer = Peer(
            "gateway",
            stack.url,
            session,
            stack.home.key("admin"),
            Deadlines(read=180.0, total=300.0),
        )
        gateway = Gateway(peer)
        async with AsyncOpenAI(
            base_url=f"{stack.url}/v1", api_key=stack.home.key("app"), max_retries=0
        ) as client:
            with clock.part("documents"):
                await _ingest(console, gateway)
            with clock.part("adapters"):
                versions = await _register(console, gateway)
            with clock.part("questions"):
                cited = await _ask_everyone(console, client)
                await _stream_one(console, client)
            with clock.part("live swap"):
                report = await _swap(console, gateway, client, versions)
        _figures(console, Figures(await gateway.metrics()), stack)
    _clocks(console, clock, time.monotonic() - started)
    _judge(report, cited)


async def _ingest(console: Console, gateway: Gateway) -> None:
    console.rule("1. Documents in")
    files = sorted(path for path in (EXAMPLES / "corpus").iterdir() if path.is_file())
    receipt = await gateway.upload(COLLECTION, files)
    table = Table("document", "outcome", "chunks", box=None, padding=(0, 2))
    for one in receipt.files:
        table.add_row(escape(one.document_id), one.outcome, str(one.chunks))
    console.print(table)
    if receipt.failed:
        raise DemoFailedError(f"{receipt.failed} documents could not be read")


async def _register(console: Console, gateway: Gateway) -> dict[str, str]:
    """Register the shipped adapters and bind one assistant to each voice."""
    console.rule("2. Adapters and assistants")
    versions = {}
    for name in (*filter(None, VOICES.values()), *MARKERS):
        version = await gateway.register(EXAMPLES / "adapters" / name)
        versions[name] = version.id
        console.print(f"registered [bold]{version.id}[/bold]  rank {version.rank}")
    for assistant, adapter in VOICES.items():
        bound = await gateway.put_assistant(
            assistant,
            AssistantWrite(
                profile=_profile(assistant),
                retrieval=RetrievalPolicy(collections=[COLLECTION], top_k=3),
                adapter=versions[adapter] if adapter else None,
            ),
        )
        console.print(f"assistant [bold]{assistant}[/bold] serves {bound.stable.id}")
    return versions


def _profile(name: str) -> Profile:
    return Profile.model_validate_json((EXAMPLES / "profiles" / f"{name}.json").read_bytes())


async def _ask_everyone(console: Console, client: AsyncOpenAI) -> int:
    """Ask the same questions of every assistant; return how many answers cite a passage."""
    console.rule("3. The same question, three voices")
    cited = 0
    for label, question in questions():
        console.print(f"\n[bold]{label}:[/bold] {escape(question)}")
        for assistant, adapter in VOICES.items():
            reply = await client.chat.completions.create(
                model=assistant, messages=[{"role": "user", "content": question}]
            )
            extra: dict[str, Any] = reply.model_extra or {}
            cited += bool(extra["citations"]) and adapter is not None
            console.print(_panel(assistant, reply.choices[0].message.content or "", extra))
    return cited


def questions() -> list[tuple[str, str]]:
    """The held-out cases that carry the tag `demo`: what each is about, and its question."""
    with (EXAMPLES / "evaluation" / "cases.jsonl").open(encoding="utf-8") as lines:
        cases = [EvaluationCase.model_validate_json(line) for line in lines]
    return [
        (
            "Not in the documents" if case.answerable is False else _LANGUAGES[_language(case)],
            case.question or "",
        )
        for case in cases
        if "demo" in case.tags
    ]


def _language(case: EvaluationCase) -> str:
    return next(tag for tag in case.tags if tag in _LANGUAGES)


def _panel(assistant: str, text: str, extra: dict[str, Any]) -> Panel:
    block = extra["inkstone"]
    sources = "\n".join(
        f"[dim]\\[{c['n']}] {escape(c['title'] or c['document_id'])}  "
        f"({escape(c['document_id'])}, characters {c['span']['start']}-{c['span']['end']})[/dim]"
        for c in extra["citations"]
    )
    return Panel(
        f"{escape(text)}" + (f"\n{sources}" if sources else ""),
        title=f"{assistant} · {block['adapter'] or 'base without adapter'}",
        title_align="left",
        subtitle=f"retrieval {block['timings']['retrieve_ms']:.0f} ms · "
        f"total {block['timings']['total_ms']:.0f} ms",
        subtitle_align="right",
    )


async def _stream_one(console: Console, client: AsyncOpenAI) -> None:
    console.print("\n[bold]Streamed:[/bold] ", end="")
    stream = await client.chat.completions.create(
        model="formal",
        messages=[{"role": "user", "content": questions()[0][1]}],
        stream=True,
    )
    last = None
    async for chunk in stream:
        for choice in chunk.choices:
            console.print(escape(choice.delta.content or ""), end="", soft_wrap=True)
        last = chunk
    assert last is not None
    cited = len((last.model_extra or {}).get("citations", []))
    tokens = last.usage.completion_tokens if last.usage else 0
    console.print(f"\n[dim]last chunk: {cited} citations, {tokens} completion tokens[/dim]")


async def _swap(
    console: Console, gateway: Gateway, client: AsyncOpenAI, versions: dict[str, str]
) -> SwapReport:
    console.rule("4. The adapter of a live assistant, swapped under load")
    live = LiveSwap(
        gateway, client, "oracle", {versions[name]: word for name, word in MARKERS.items()}
    )
    with console.status(f"{SWAPS} swaps while {WORKERS} clients ask without pause"):
        report = await live.run(swaps=SWAPS, workers=WORKERS, pause_seconds=PAUSE_SECONDS)
    slowest = max(report.swaps) * 1000
    console.print(
        f"{len(report.swaps)} swaps (slowest {slowest:.0f} ms from request to acknowledgement)\n"
        f"requests sent {report.sent} · failed {report.failed} · "
        f"answered by a wrong version {report.wrong}"
    )
    for error in report.errors[:5]:
        console.print(f"[red]{escape(error)}[/red]")
    return report


def _figures(console: Console, figures: Figures, stack: Stack) -> None:
    console.rule("5. What the metrics say")
    table = Table("figure", "p50", "p95", box=None, padding=(0, 2))
    for label, name, labels in (
        ("whole request", "inkstone_request_seconds", {}),
        ("retrieval", "inkstone_stage_seconds", {"stage": "retrieve"}),
        ("time to first token", "inkstone_time_to_first_token_seconds", {}),
    ):
        p50, p95 = (figures.quantile(name, share, **labels) for share in (0.5, 0.95))
        if p50 is not None and p95 is not None:
            table.add_row(label, f"{p50 * 1000:.0f} ms", f"{p95 * 1000:.0f} ms")
    console.print(table)
    tokens = {
        direction: figures.total("inkstone_tokens_total", direction=direction)
        for direction in ("prompt", "cached", "completion")
    }
    console.print("tokens: " + ", ".join(f"{count:.0f} {name}" for name, count in tokens.items()))
    console.print(f"[dim]read from {stack.url}/metrics[/dim]")


def _clocks(console: Console, clock: Clock, total: float) -> None:
    parts = " · ".join(f"{name} {seconds:.0f} s" for name, seconds in clock.parts.items())
    console.rule()
    console.print(f"{parts} · [bold]total {total:.0f} s[/bold]")


def _judge(report: SwapReport, cited: int) -> None:
    if report.failed or report.wrong:
        raise DemoFailedError(
            f"{report.failed} requests failed and {report.wrong} were answered by a wrong version"
        )
    if not report.sent or not cited:
        raise DemoFailedError("no request was sent, or no answer carried a citation")
