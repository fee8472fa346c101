"""The page of metrics, from the registries that the services fill."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

HEAD = """# Metrics

<!-- Written by tools/reference.py from the code. -->

Every service answers `GET /metrics` in Prometheus' text format, with the process's own figures
(`process_*`, `python_info`) beside the ones below. A histogram has the series `_bucket`, `_sum` and
`_count`. A label with values from outside is bounded: once
`INKSTONE_GATEWAY_LIMITS__METRIC_LABEL_VALUES` different ones were seen, further ones share `other`;
`-` stands for a direct call of a base or adapter version. The engine has metrics of its own
(`vllm:*`) on its port, behind its key.
"""

TABLE = "| metric | kind | labels | means |\n|---|---|---|---|\n"


def metrics_page() -> str:
    """Write the page."""
    parts = [HEAD]
    for service, fill in _REGISTRIES.items():
        parts.append(f"\n## {service.capitalize()}\n\n{TABLE}")
        parts.extend(sorted(_row(collector) for collector in _collectors(fill())))
    return "".join(parts)


def _gateway() -> CollectorRegistry:
    """Open a whole gateway on an empty folder: it needs nobody to start."""
    from services.gateway.app import create_app
    from services.gateway.settings import Settings

    async def opened(folder: str) -> CollectorRegistry:
        settings = Settings(data_dir=Path(folder), retriever_api_key=SecretStr("none"))
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            registry: CollectorRegistry = app.state.resources.metrics
        return registry

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(opened(folder))


def _retriever() -> CollectorRegistry:
    from services.retriever.metrics import open_metrics

    registry = CollectorRegistry()
    open_metrics(registry)
    return registry


def _generator() -> CollectorRegistry:
    from services.generator.metrics import open_metrics

    registry = CollectorRegistry()
    open_metrics(registry)
    return registry


def _tuner() -> CollectorRegistry:
    from services.tuner.jobs import JobMetrics

    registry = CollectorRegistry()
    JobMetrics(registry)
    return registry


_REGISTRIES: dict[str, Callable[[], CollectorRegistry]] = {
    "gateway": _gateway,
    "retriever": _retriever,
    "generator": _generator,
    "tuner": _tuner,
}


def _collectors(registry: CollectorRegistry) -> list[Any]:
    """List a registry's own collectors; the library has no public way to their labels."""
    found = registry._collector_to_names  # noqa: SLF001
    return [one for one in found if getattr(one, "_name", "").startswith("inkstone_")]


def _row(collector: Any) -> str:
    kind = collector._type  # noqa: SLF001
    name = collector._name + ("_total" if kind == "counter" else "")  # noqa: SLF001
    labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # noqa: SLF001
    means = collector._documentation.rstrip(".")  # noqa: SLF001
    return f"| `{name}` | {kind} | {labels} | {means} |\n"
