"""Settings of one process, read from the environment, strict about what they do not know."""

from __future__ import annotations

import os
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsGroup(BaseModel):
    """A nested group of settings; a misspelt name in it is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServiceSettings(BaseSettings):
    """The base of each service's `Settings`; a subclass sets `env_prefix` by `settings_config`.

    A variable under the prefix that names no setting is an error: a misspelling must not pass
    for the default.
    """

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_names(cls, values: Any) -> Any:
        prefix = cls.model_config.get("env_prefix", "").lower()
        delimiter = cls.model_config.get("env_nested_delimiter") or "__"
        for name in os.environ:
            if not prefix or not name.lower().startswith(prefix):
                continue
            field = name.lower().removeprefix(prefix).split(delimiter)[0]
            if field not in cls.model_fields:
                known = ", ".join(sorted(prefix.upper() + f.upper() for f in cls.model_fields))
                raise ValueError(f"{name} names no setting; the settings are: {known}")
        return values


def settings_config(prefix: str) -> SettingsConfigDict:
    """Make the configuration of a service's settings for one prefix."""
    return SettingsConfigDict(
        env_prefix=prefix,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
