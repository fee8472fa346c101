"""Values for the slots of passage templates, drawn anew at every use, and Korean particles.

A model that sees another number, name or place each time can only learn to copy from the passage.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

SLOT = re.compile(r"\{(\w+)(?::(\d+)-(\d+)(?:/(\d+))?)?\}")
"""`{name}` draws from a pool; `{name:low-high/step}` draws a number."""

_PARTICLE = re.compile(r"(.)\((은/는|이/가|을/를|과/와|으로/로)\)")
_FINAL_DIGITS = {"0", "1", "3", "6", "7", "8"}
_UNITS_WITH_FINAL = ("kg", "g", "dB")

Pools = Mapping[str, Sequence[str]]
"""By slot name: the values to draw from, of one language."""


def read_pools(language: str, folder: Path = Path(__file__).parent) -> Pools:
    """Read a language's pools from `pools.json`."""
    pools: dict[str, dict[str, list[str]]] = json.loads((folder / "pools.json").read_text("utf-8"))
    return pools[language]


def draw_values(
    template: str,
    language: str,
    pools: Pools,
    rng: random.Random,
    given: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Draw one value for every slot of a template; numbered twins (`city`, `city2`) differ.

    Args:
        given: values that are already settled, for passages that speak of the same thing.
    """
    values: dict[str, str] = dict(given or {})
    for match in SLOT.finditer(template):
        name, low, high, step = match.groups()
        if name in values:
            continue
        if low is not None:
            values[name] = number(rng.randrange(int(low), int(high) + 1, int(step or 1)))
            continue
        kind = name.rstrip("23456789")
        pool = pools.get(name, pools.get(kind, ()))
        while (value := _draw(kind, language, pool, pools, rng)) == values.get(kind):
            continue
        values[name] = value
    return values


def fill(template: str, values: Mapping[str, str], language: str) -> str:
    """Put values into a template and settle the Korean particles that follow them."""
    text = SLOT.sub(lambda match: values[match[1]], template)
    return _PARTICLE.sub(_settled, text) if language == "ko" else text


def number(value: int) -> str:
    """Write a number as people print it: with a comma from a thousand on."""
    return f"{value:,}"


def has_final(text: str) -> bool:
    """Say whether the last sound of a Korean phrase is a consonant."""
    bare = text.rstrip("'\"”’) .")
    last = bare[-1:]
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28 != 0
    if last.isdigit():
        return last in _FINAL_DIGITS
    return bare.endswith(_UNITS_WITH_FINAL)


def _settled(match: re.Match[str]) -> str:
    last, pair = match[1], match[2]
    with_final, without = pair.split("/")
    liquid = last in "178" or ("가" <= last <= "힣" and (ord(last) - ord("가")) % 28 == 8)
    if pair == "으로/로" and liquid:
        return last + without
    return last + (with_final if has_final(last) else without)


def _draw(kind: str, language: str, pool: Sequence[str], pools: Pools, rng: random.Random) -> str:
    match kind:
        case "year":
            return str(rng.randrange(1890, 2026))
        case "person" if language == "ko":
            return rng.choice(pools["last"]) + rng.choice(pools["first"])
        case "person":
            return f"{rng.choice(pools['first'])} {rng.choice(pools['last'])}"
        case "code":
            letters = rng.choice("ABDFHJLNPRSTVXZ") + rng.choice("ABDKLMQ")
            return f"{letters}-{rng.randrange(10, 990)}"
        case "phone":
            parts = rng.randrange(2, 90), rng.randrange(200, 999), rng.randrange(1000, 9999)
            return "0" + "-".join(map(str, parts))
        case "mail":
            return f"{rng.choice(pools['mailbox'])}@{rng.choice(pools['host'])}.example"
    return rng.choice(pool)
