"""Structured logs: one JSON object a line, with the request id and never with prompt text."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import orjson
import structlog

from services.chassis.request_id import current_request_id
from services.chassis.tracing import current_span


def configure_logging(
    service: str, *, level: str = "INFO", form: Literal["json", "console"] = "json"
) -> None:
    """Send this process's logs, the standard library's included, to standard error.

    Libraries stay silent below INFO: there some write statements with the values in them.
    """

    def add_context(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        if request_id := current_request_id():
            event["request_id"] = request_id
        if trace_id := current_span().trace_id:
            event["trace_id"] = trace_id
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_context,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_json)
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The default one prints local variables, secrets and prompt text among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    rendering = (
        [renderer] if form == "console" else [structlog.processors.format_exc_info, renderer]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=_StandardError,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.getLevelNamesMapping()[level], logging.INFO))
    for noisy in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _StandardError:
    """Writes our own lines; a record of the standard library would cost several times the line."""

    def __init__(self, *_: Any) -> None:
        """Take the arguments of `get_logger`, which name nothing that is written."""

    def write(self, line: str) -> None:
        """Write one line to what standard error is now."""
        sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = write


def _json(event: Any, **options: Any) -> str:
    try:
        return orjson.dumps(event, **options).decode()
    except TypeError:
        # Text that is no Unicode, such as a file name in another encoding.
        return json.dumps(event, **options)
