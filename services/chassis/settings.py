"""Settings of one process, read from the environment, strict about what they do not know."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

SECRETS_DIR = "INKSTONE_SECRETS_DIR"
"""Names a folder with one file for each setting that is not to stand in the environment."""


class SettingsGroup(BaseModel):
    """A nested group of settings; a misspelt name in it is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServiceSettings(BaseSettings):
    """The base of each service's `Settings`; a subclass sets `env_prefix` by `settings_config`.

    A variable under the prefix that names no setting is an error: a misspelling must not pass
    for the default. A file in `INKSTONE_SECRETS_DIR` stands for the variable of its name.
    """

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_names(cls, values: Any) -> Any:
        prefix = cls.model_config.get("env_prefix", "").lower()
        delimiter = cls.model_config.get("env_nested_delimiter") or "__"
        for name in (*os.environ, *_secret_names()):
            if not prefix or not name.lower().startswith(prefix):
                continue
            # A file sets a whole setting: one of a group would be read past in silence.
            parts = name.lower().removeprefix(prefix).split(delimiter)
            if parts[0] not in cls.model_fields or (len(parts) > 1 and name not in os.environ):
                known = ", ".join(sorted(prefix.upper() + f.upper() for f in cls.model_fields))
                raise ValueError(f"{name} names no setting; the settings are: {known}")
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's names
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then the files of secrets."""
        if not _secret_names():
            return init_settings, env_settings
        files = SecretsSettingsSource(settings_cls, secrets_dir=os.environ[SECRETS_DIR])
        return init_settings, env_settings, files


def settings_config(prefix: str) -> SettingsConfigDict:
    """Make the configuration of a service's settings for one prefix."""
    return SettingsConfigDict(
        env_prefix=prefix,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


def _secret_names() -> list[str]:
    """List the files in the folder of secrets.

    Raises:
        ValueError: when the folder that the variable names is not there.
    """
    folder = os.environ.get(SECRETS_DIR)
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise ValueError(f"{SECRETS_DIR} names {folder}, which is no folder")
    return [path.name for path in Path(folder).iterdir()]
