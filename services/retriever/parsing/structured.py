"""JSON as lines that can be found: each value behind the names that lead to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_NAMES = 4
"""The most names before a value, the nearest; deeper ones would make every line long."""


def json_as_lines(text: str) -> str:
    """Lay a document out; one that is none stays as it is, unless each of its lines is one."""
    try:
        return "\n".join(_lines(json.loads(text)))
    except (ValueError, RecursionError):
        return json_lines(text)


def json_lines(text: str) -> str:
    """Lay out a file of one document a line; a line that is none stays as it is."""
    return "\n\n".join(_record(line) for line in text.splitlines() if line.strip())


def _record(line: str) -> str:
    if line.lstrip()[:1] not in ("{", "["):
        return line
    try:
        return "\n".join(_lines(json.loads(line)))
    except (ValueError, RecursionError):
        return line


def _lines(document: Any) -> Iterator[str]:
    """Write values in their order, with an empty line between the records of a list."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while waiting:
        names, value = waiting.pop()
        if isinstance(value, dict):
            inner = [((*names, str(name))[-_NAMES:], each) for name, each in value.items()]
            waiting.extend(reversed(inner))
        elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
            for each in reversed(value):
                waiting.append((names, each))
                waiting.append(((), None))
        elif names or value is not None:
            written = _written(value)
            yield f"{'.'.join(names)}: {written}" if names else written
        else:
            yield ""


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
