"""Prometheus and promtool for the tests, where `make prometheus` could fetch them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_FETCHED = Path(sys.prefix) / "prometheus" / "usr" / "bin"


def _tool(name: str) -> str | None:
    fetched = _FETCHED / name
    return str(fetched) if fetched.exists() else shutil.which(name)


PROMTOOL = _tool("promtool")
"""Checks rules, and runs their unit tests."""

PROMETHEUS = _tool("prometheus")
"""Scrapes and answers queries."""

MISSING = "there is no prometheus here; `make prometheus` fetches it"
"""Why a test is skipped."""
