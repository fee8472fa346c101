"""The base of every type that crosses the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


def said_of(finding: Mapping[str, Any]) -> str:
    """Say what a validation found; before a check's own sentence the library puts two words."""
    return str(finding["msg"]).removeprefix("Value error, ")


class Wire(BaseModel):
    """A frozen message; what is asked with an unknown field is refused.

    What is answered, or was stored, is read by `received`: it may come from a newer version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def received(cls, payload: Any) -> Self:
        """Read a reply or a stored row, leaving out what only a newer version knows, at any depth.

        Args:
            payload: JSON as bytes or text, or what was read from it.

        Raises:
            ValidationError: it lacks something, or something in it is of another kind.
        """
        if isinstance(payload, (bytes, str)):
            return cls.model_validate_json(payload, extra="ignore")
        return cls.model_validate(payload, extra="ignore")


class Report(Wire):
    """What one part of an installation tells another, whose version may be older for a while."""

    model_config = ConfigDict(extra="ignore")
