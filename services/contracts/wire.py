"""The base of every type that crosses the wire."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A frozen message that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
