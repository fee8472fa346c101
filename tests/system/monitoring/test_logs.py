"""Log lines of real processes are what docs/logging.md says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.agent import eventually
from tests.system.monitoring.installation import Installation

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[3] / "docs" / "logging.md").read_text()
ALWAYS = {"event", "level", "timestamp", "service"}


def documented(part: str) -> set[str]:
    """The fields of one table of the page."""
    return set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE))


async def test_lines_have_the_documented_fields(installed: Installation) -> None:
    common, access = map(documented, PAGE.split("## The access log"))
    app = installed.client(installed.keys["app"])
    assert (await app.get("/v1/models")).status == 200

    def lines(service: str) -> list[dict[str, Any]]:
        log = (installed.folder / f"{service}.log").read_text()
        return [json.loads(line) for line in log.splitlines()]

    def requests() -> list[dict[str, Any]]:
        return [line for line in lines("gateway") if line["event"] == "request"]

    await eventually(lambda: bool(requests()))
    assert {"method", "path", "status", "ms"} == access
    for line in requests():
        assert set(line) <= access | common, line
        assert access | ALWAYS | {"request_id"} <= set(line), line
    for service in ("gateway", "retriever", "generator", "tuner"):
        assert lines(service)
        for line in lines(service):
            assert set(line) >= ALWAYS, line
            assert line["service"] == service
