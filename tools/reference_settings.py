"""The page of settings, from each service's `Settings`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

SERVICES = ("gateway", "retriever", "generator", "tuner")

HEAD = """# Settings

<!-- Written by tools/reference.py from the code. -->

Every process reads its settings from environment variables when it starts. A variable under a
service's prefix that names no setting, and a value outside its bounds, stop the start with a
sentence that says so. Lists and groups are written as JSON, or field by field with `__` between the
names. `inkstone up` sets what joins the processes of one machine; what you set yourself wins.

## The local stack

| variable | default | means |
|---|---|---|
| `INKSTONE_HOME` | `.inkstone` | the folder of all local state: keys, data, logs |
| `INKSTONE_PORT` | `8000` | the gateway's port on loopback |
| `INKSTONE_MODELS_DIR` | `models` in the home | prepared models; homes may share one folder |
| `INKSTONE_URL` | where the local stack was last started | the gateway of the client commands |
| `INKSTONE_API_KEY` | the home's own key | the key that the client commands send |
"""


def settings_page() -> str:
    """Write the page."""
    parts = [HEAD]
    for service in SERVICES:
        settings = import_module(f"services.{service}.settings").Settings
        prefix = settings.model_config["env_prefix"]
        parts.append(
            f"\n## {service.capitalize()}\n\n| variable | default | means |\n|---|---|---|\n"
        )
        parts.extend(
            f"| `{prefix}{name}` | {default} | {meaning} |\n"
            for name, default, meaning in _rows(settings, "", None)
        )
    return "".join(parts)


def _rows(
    model: type[BaseModel], lead: str, defaults: BaseModel | None
) -> Iterator[tuple[str, str, str]]:
    """Walk a model's fields, groups field by field."""
    for name, field in model.model_fields.items():
        default = getattr(defaults, name) if defaults is not None else field.default
        if isinstance(default, BaseModel):
            yield from _rows(type(default), f"{lead}{name.upper()}__", default)
        else:
            yield f"{lead}{name}".upper(), _default(field, default), _meaning(field)


def _default(field: FieldInfo, value: Any) -> str:
    if field.default_factory is not None:
        return "worked out at start"
    if value is PydanticUndefined:
        return "**required**"
    if value is None or value in ((), [], ""):
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return "`[" + ", ".join(f'"{one}"' for one in value) + "]`"
    return f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    said = " ".join((field.description or "").split()).replace("|", "\\|").rstrip(".")
    bounds = [
        f"{sign} {limit}"
        for constraint in field.metadata
        for attribute, sign in (("ge", "at least"), ("gt", "more than"), ("le", "at most"))
        if (limit := getattr(constraint, attribute, None)) is not None
    ]
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if choices:
        bounds.append("one of " + ", ".join(f"`{choice}`" for choice in choices))
    return f"{said} ({', '.join(bounds)})" if bounds else said
