"""How many tokens a prompt takes, counted with the base's own tokenizer.

Counts are upper bounds and close ones: the text is counted line by line, so that lines seen before
(system text, examples, passages, earlier turns) cost a look-up, and what the chat template adds is
measured once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from services.domain.rendering import Message
from services.gateway.chat_template import Overhead, measure_overhead

BYTES_PER_TOKEN = 3
"""What is assumed without a tokenizer: on the safe side for Latin and Korean script alike."""

TOOLS_PREAMBLE_TOKENS = 256
"""What a chat template may say around the definitions of tools."""

REMEMBERED_LINES = 50_000
"""How many lines' counts are kept."""


@dataclass(slots=True)
class TokenCounter:
    """Counts prompts for one base; safe to use from several threads.

    Args:
        encode: counts the tokens of one text without special tokens.
    """

    encode: Callable[[str], int]
    overhead: Overhead = field(default_factory=Overhead)
    _recent: dict[tuple[int, int], int] = field(default_factory=dict)
    _older: dict[tuple[int, int], int] = field(default_factory=dict)

    def count(self, messages: Iterable[Message]) -> int:
        """Bound a prompt's tokens from above, closely."""
        turns = list(messages)
        return self._around(len(turns)) + sum(self._count_turn(turn) for turn in turns)

    def bound(self, messages: Iterable[Message]) -> int:
        """Bound a prompt's tokens from above, loosely and at once: no token is less than a byte."""
        turns = list(messages)
        return self._around(len(turns)) + sum(_bytes_of(turn) for turn in turns)

    def count_tools(self, tools: Any) -> int:
        """Bound what the definitions of tools add."""
        if not tools:
            return 0
        return TOOLS_PREAMBLE_TOKENS + self.encode(orjson.dumps(tools).decode())

    def _around(self, turns: int) -> int:
        return self.overhead.frame + self.overhead.turn * max(turns - 1, 0)

    def _count_turn(self, turn: Message) -> int:
        lines = turn["content"].splitlines(keepends=True)
        tokens = sum(map(self._count_line, lines))
        if calls := turn.get("tool_calls"):
            tokens += self.encode(orjson.dumps(calls).decode())
        return tokens

    def _count_line(self, line: str) -> int:
        # The hash stands for the line, so that what is remembered stays small whatever is sent.
        key = hash(line), len(line)
        tokens = self._recent.get(key)
        if tokens is None:
            tokens = self._older.get(key)
            if tokens is None:
                tokens = self.encode(line)
            if len(self._recent) >= REMEMBERED_LINES // 2:
                self._older, self._recent = self._recent, {}
            self._recent[key] = tokens
        return tokens


def open_counter(folder: Path | None) -> TokenCounter:
    """Load a model folder's `tokenizer.json`; without a folder the count is an estimate.

    Takes about a second for a large vocabulary: call it in a thread.

    Raises:
        FileNotFoundError: when the folder holds no tokenizer.
    """
    if folder is None:
        return TokenCounter(_estimate)
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} does not exist; point INKSTONE_GATEWAY_TOKENIZER_DIR at the base's folder"
        )
    tokenizer = Tokenizer.from_file(str(file))

    def encode(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return TokenCounter(encode, measure_overhead(folder, encode))


def _estimate(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def _bytes_of(turn: Message) -> int:
    size = len(turn["content"].encode())
    if calls := turn.get("tool_calls"):
        size += len(orjson.dumps(calls))
    return size
