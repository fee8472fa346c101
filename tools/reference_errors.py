"""The page of error codes, read from the source without importing it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

HEAD = """# Errors

<!-- Written by tools/reference.py from the code. -->

Every reply with a status of 400 or more has one body, in OpenAI's shape:

```json
{"error": {"message": "One sentence, with the mend.", "type": "invalid_request_error",
           "param": "messages", "code": "context_length_exceeded"}}
```

`code` is stable: decide by it and by the status, never by the message. 429 and 503 carry
`Retry-After`. 409 carries `x-should-retry: false`, because the official client would otherwise
repeat what cannot succeed. A malformed body or parameter is a 400 that names the field in `param`.
Once a stream has begun, an error is an event `error` with the same body, and the stream ends.

| status | code | from | means |
|---|---|---|---|
"""

UNSAID = {
    "engine_rejected_request": "The engine refused the request; its own sentence says why.",
    "internal_error": "Something failed that nobody foresaw; the log has the cause.",
    "invalid_api_key": "No key, or one that is not known.",
}
"""Meanings that stand in no literal of the source."""

REFUSALS = """
## Why an adapter is refused

Registering an adapter answers 422 with one of these codes when its files cannot be served.

| code | says |
|---|---|
"""

FILES = """
## Why a file of an upload fails

An upload answers 200 and says of each file what became of it; a failed one has one of these codes.

| code | says |
|---|---|
"""

TRAININGS = """
## Why a training fails

A job that failed has a code of the dataset gate ([tuning.md](tuning.md)), one of those above that
an adapter is refused with, or one of these.

| code | says |
|---|---|
"""

ENGINE = """
## From the engine's guard

The guard stands inside the engine's own server; apps never see it.

| status | code | says |
|---|---|---|
"""


@dataclass(slots=True)
class _Class:
    """An error class as its source says."""

    bases: list[str]
    means: str
    room: str
    status: int | None = None
    code: str | None = None


@dataclass(slots=True)
class _Found:
    """What the source holds."""

    classes: dict[str, _Class] = field(default_factory=dict)
    raised: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Class, code, message and room of a call that sets a code of its own."""
    preflight: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """The members of the enumeration of reasons, and the string below each."""
    trainings: dict[str, str] = field(default_factory=dict)
    """As `files`, of trainings."""
    guard: list[tuple[int, str, str]] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)


def errors_page(services: Path) -> str:
    """Write the page."""
    found = _read(services)
    rows = {
        (_status(found, name), code, _room(one.room), one.means)
        for name, one in found.classes.items()
        if (code := one.code) and _status(found, name)
    }
    named = {code for _, code, _, _ in rows}
    refused = set(found.preflight)
    for name, code, message, room in found.raised:
        if name == "AdapterRefused":
            found.preflight.setdefault(code, message)
        elif code.startswith("{}"):
            rows |= {
                (
                    _status(found, name),
                    peer + code[2:],
                    "every service",
                    message.replace("{}", peer, 1),
                )
                for peer in found.peers
            }
        elif code not in named | refused and _status(found, name):
            rows.add((_status(found, name), code, _room(room), message))
    codes = {(status, code): (room, means) for status, code, room, means in sorted(rows)}
    table = "".join(
        f"| {status} | `{code}` | {room} | {_said(code, means)} |\n"
        for (status, code), (room, means) in sorted(codes.items())
    )
    refusals = "".join(f"| `{c}` | {_said(c, m)} |\n" for c, m in sorted(found.preflight.items()))
    files = "".join(f"| `{c}` | {m} |\n" for c, m in sorted(found.files.items()))
    trainings = "".join(f"| `{c}` | {m} |\n" for c, m in sorted(found.trainings.items()))
    guard = "".join(f"| {s} | `{c}` | {_said(c, m)} |\n" for s, c, m in sorted(set(found.guard)))
    return (
        HEAD + table + REFUSALS + refusals + FILES + files + TRAININGS + trainings + ENGINE + guard
    )


def _said(code: str, means: str) -> str:
    return UNSAID.get(code, means).replace("{}", "…").replace("|", "\\|")


def _read(services: Path) -> _Found:
    found = _Found()
    for file in sorted(services.rglob("*.py")):
        room = file.relative_to(services).parts[0]
        if room == "cli" or "migrations" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                found.classes.setdefault(node.name, _class(node, room))
                if node.name == "FileCode":
                    found.files.update(_members(node))
                if node.name == "TrainingFailure":
                    found.trainings.update(_members(node))
            elif isinstance(node, ast.Call):
                _call(found, node, room)
    return found


def _class(node: ast.ClassDef, room: str) -> _Class:
    means = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
    one = _Class([b.id for b in node.bases if isinstance(b, ast.Name)], means, room)
    for statement in node.body:
        if not isinstance(statement, ast.Assign):
            continue
        target, value = statement.targets[0], statement.value
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for name, constant in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and isinstance(constant, ast.Constant):
                if name.id == "code" and isinstance(constant.value, str):
                    one.code = constant.value
                if name.id == "status" and isinstance(constant.value, int):
                    one.status = constant.value
    return one


def _members(node: ast.ClassDef) -> dict[str, str]:
    """Read an enumeration's values and the strings below them."""
    pairs = zip(node.body, node.body[1:], strict=False)
    return {
        code: meaning
        for one, below in pairs
        if isinstance(one, ast.Assign) and isinstance(below, ast.Expr)
        if (code := _text(one.value)) and (meaning := _text(below.value))
    }


def _call(found: _Found, node: ast.Call, room: str) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    texts = [_text(argument) for argument in node.args]
    if name == "Peer" and texts and texts[0]:
        found.peers.add(texts[0])
    elif name in ("PreflightError", "refuse_if") and len(texts) >= 2:
        code = texts[0] if name == "PreflightError" else "adapter_unsupported_feature"
        if code:
            found.preflight.setdefault(code, texts[1] or "")
    elif (
        name == "_refuse"
        and len(texts) == 4
        and texts[2]
        and isinstance(node.args[1], ast.Constant)
    ):
        found.guard.append((int(str(node.args[1].value)), texts[2], texts[3] or ""))
    for keyword in node.keywords:
        code = _text(keyword.value) if keyword.arg == "code" else None
        if code and name:
            found.raised.append((name, code, texts[0] or "" if texts else "", room))


def _text(node: ast.expr) -> str | None:
    """Read a literal; an f-string's gaps become `{}`."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
        return "".join(map(str, parts))
    return None


def _status(found: _Found, name: str) -> int:
    """Find a class's status along its bases; 0 when it is no service error."""
    one = found.classes.get(name)
    if one is None:
        return 0
    return one.status or max((_status(found, base) for base in one.bases), default=0)


def _room(room: str) -> str:
    return "every service" if room == "chassis" else room
