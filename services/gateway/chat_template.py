"""What a chat template adds around the turns, measured once on the template itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import structlog
from jinja2 import TemplateError
from jinja2.ext import Extension
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_log = structlog.get_logger(__name__)

_WORD = "word"
_MARGIN_PER_TURN = 2
"""Room for merges across the border of two turns, which a sum of parts cannot see."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Tokens that stand around the text of the turns."""

    frame: int = 64
    """Of the whole prompt with its first turn."""
    turn: int = 16
    """Of each further turn."""


class _Generation(Extension):
    """Lets `{% generation %}` blocks, which mark what is trained, pass as plain text."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own interface

    def parse(self, parser: Parser) -> list[Node]:
        """Keep the block's content."""
        next(parser.stream)
        body: list[Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


def measure_overhead(folder: Path, count: Callable[[str], int]) -> Overhead:
    """Measure a model folder's chat template; a folder without one gets generous defaults.

    Args:
        count: counts the tokens of a text.
    """
    config = _read_config(folder / "tokenizer_config.json")
    source = _template_source(folder, config)
    if source is None:
        _log.warning("chat_template.missing", folder=str(folder))
        return Overhead()
    word = count(_WORD)
    try:
        one, three = (count(_render(source, config, turns)) for turns in (1, 3))
    except TemplateError as error:
        _log.warning("chat_template.unreadable", folder=str(folder), reason=str(error))
        return Overhead()
    turn = -(-(three - one - 2 * word) // 2)
    return Overhead(frame=max(one - word, 0) + _MARGIN_PER_TURN, turn=turn + _MARGIN_PER_TURN)


def _render(source: str, config: dict[str, Any], turns: int) -> str:
    """Render so many turns, user and assistant alternating, and the call for an answer."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now(UTC).strftime(form)
    roles = ["user", "assistant"] * turns
    messages = [{"role": role, "content": _WORD} for role in roles[:turns]]
    tokens = {name: config.get(name) or "" for name in ("bos_token", "eos_token", "pad_token")}
    return environment.from_string(source).render(
        messages=messages, add_generation_prompt=True, tools=None, documents=None, **tokens
    )


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    config: dict[str, Any] = orjson.loads(path.read_bytes())
    # A special token is written as text or as an object that holds it.
    return {
        k: v["content"] if isinstance(v, dict) and "content" in v else v for k, v in config.items()
    }


def _template_source(folder: Path, config: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    inline = config.get("chat_template")
    if isinstance(inline, list):
        named = {entry["name"]: entry["template"] for entry in inline}
        inline = named.get("default")
    return inline if isinstance(inline, str) else None
