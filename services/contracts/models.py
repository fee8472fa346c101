"""What an app may call as `model`, in OpenAI's shape."""

from __future__ import annotations

from typing import Literal

from services.contracts.wire import Wire


class Model(Wire):
    """One callable name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """When it last changed, in seconds since the epoch; 0 for a base or an embedding model."""
    owned_by: str = "inkstone"
    kind: Literal["assistant", "adapter", "base", "embedding"]
    release: str | None = None
    """The release that an assistant serves now."""
    adapter: str | None = None
    """The adapter version that answers, if one does."""
    description: str = ""


class ModelPage(Wire):
    """Every name that the key may call."""

    object: Literal["list"] = "list"
    data: list[Model]
    has_more: bool = False
