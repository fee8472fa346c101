"""Every panel shows something: its queries are asked of a Prometheus that scrapes processes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from tests import postgres
from tests.prometheus import MISSING, PROMETHEUS
from tests.service.retriever.ingesting import form_of
from tests.system.monitoring.installation import Installation
from tests.system.monitoring.scraper import Scraper, scraper
from tools.monitoring.files import BOARDS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(PROMETHEUS is None, reason=MISSING),
]

DEADLINE_SECONDS = 180
"""How long a series may take to appear on a busy machine."""

HERE = {"a registry on Postgres"} if postgres.AVAILABLE else set()
"""What the installation of this test has of what some panels need."""

FOREVER = 3600


async def furnish(installed: Installation) -> None:
    """Bring the installation to where every series has something to say."""
    first, second = await installed.adapter("calm"), await installed.adapter("lively")
    retrieval = {"collections": ["handbook"], "top_k": 2}
    bundle = {"adapter": first, "retrieval": retrieval}
    candidate = {"adapter": second, "retrieval": retrieval}
    for name in ("canaried", "shadowed"):
        await installed.admin("PUT", f"/admin/assistants/{name}", json=bundle)
    canary = {
        "strategy": "canary",
        "steps": [{"weight": 50, "hold_seconds": FOREVER}],
    }
    shadow = {"strategy": "shadow_canary", "shadow": {"percent": 100, "min_samples": 1000}}
    for name, kind in (("canaried", canary), ("shadowed", shadow)):
        body = {"bundle": candidate, "allow_without_evidence": True, **kind}
        await installed.admin("POST", f"/admin/assistants/{name}/rollouts", json=body)
    key = {"name": "ends", "scopes": ["app"], "expires_at": int(time.time()) + 86_400}
    await installed.admin("POST", "/admin/keys", json=key)


async def use(installed: Installation, round_: int) -> None:
    """Do a little of everything that apps and operators do."""
    body = {"text": f"환불은 {round_}일 안에 됩니다. Returns take {round_} days.", "title": "환불"}
    await installed.admin("PUT", f"/v1/collections/handbook/documents/d{round_}", json=body)
    files = form_of([(f"f{round_}.txt", f"Postage is {round_} won.".encode())])
    await installed.admin("POST", "/v1/collections/handbook/ingestions", data=files)
    upload = form_of([])
    upload.add_field("purpose", "assistants")
    upload.add_field("file", f"Opening hours {round_}".encode(), filename="hours.txt")
    file = await installed.admin("POST", "/v1/files", data=upload)
    await installed.admin("POST", "/v1/vector_stores", json={"file_ids": [file["id"]]})
    await installed.admin("PUT", "/admin/assistants/spare", json={"description": f"{round_}"})
    embedding = {"model": "multilingual-e5-small", "input": f"text {round_}"}
    await installed.client(installed.keys["app"]).post("/v1/embeddings", json=embedding)
    asked = [
        installed.ask(name, question, stream=stream, user=f"reader {round_} {stream}")
        for name in ("canaried", "shadowed")
        for question in (f"환불 기간은? {round_}", "How long is the refund?")
        for stream in (True, False)
    ]
    follow_up = [
        {"role": "user", "content": "How long is the refund?"},
        {"role": "assistant", "content": "30 days."},
        {"role": "user", "content": "and in Korea?"},
    ]
    asked.append(installed.ask("canaried", "", messages=follow_up))
    await asyncio.gather(*asked, installed.client("ink_wrong").post("/v1/chat/completions"))


async def keep_using(installed: Installation) -> None:
    for round_ in range(10_000):
        await use(installed, round_)


async def appears(prometheus: Scraper, expression: str) -> bool:
    """Wait until a query has an answer; tell whether it came."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if await prometheus.values(expression):
            return True
        await asyncio.sleep(0.5)
    return False


async def test_every_panel_shows_data_of_real_processes(
    installed: Installation, tmp_path: Path
) -> None:
    installed.engine.reply = lambda call: f"[{call.marker}] 30일입니다 [1]."
    await furnish(installed)
    async with scraper(tmp_path, installed.session, installed.urls) as prometheus:
        using = asyncio.create_task(keep_using(installed))
        try:
            asked = [
                (f"{board.title}: {panel.title}", query.expr)
                for board in BOARDS
                for panel in board.panels
                if not panel.needs or panel.needs in HERE
                for query in panel.queries
            ]
            came = await asyncio.gather(*(appears(prometheus, expr) for _, expr in asked))
        finally:
            using.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await using
        assert [panel for (panel, _), shown in zip(asked, came, strict=True) if not shown] == []
        health = await prometheus.healthy_rules()
        assert {name for name, state in health.items() if state != "ok"} == set()
