"""What the rollouts of a running stack bring: the shipped voices over the sample documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.gateway import Gateway as Admin

EXAMPLES = Path(__file__).parents[2] / "examples"
COLLECTION = "rollout-benchmark"


@dataclass(frozen=True, slots=True)
class Voices:
    """Bundles that an assistant can be bound to, and what to ask it."""

    stable: dict[str, Any]
    friendly: dict[str, Any]
    bad: Mapping[str, dict[str, Any]]
    """By what is bad about it."""
    questions: tuple[str, ...]


async def prepared(admin: Admin, dreaming: Path | None) -> Voices:
    """Upload documents and adapters.

    Args:
        dreaming: the folder of an adapter that ignores its passages (`benchmarks/dreaming.py`).
    """
    await admin.upload(COLLECTION, sorted((EXAMPLES / "corpus").glob("*.md")))
    profile = json.loads((EXAMPLES / "profiles" / "formal.json").read_text("utf-8"))

    async def bundle(folder: Path, **fields: Any) -> dict[str, Any]:
        version = await admin.register(folder)
        retrieval = {"collections": [COLLECTION]}
        return {"adapter": version.id, "profile": profile, "retrieval": retrieval, **fields}

    adapters = EXAMPLES / "adapters"
    bad = {
        "says one word, whatever it is asked": await bundle(
            adapters / "marker-a", allow_prompt_mismatch=True
        )
    }
    if dreaming is not None:
        bad["ignores its passages and cites them"] = await bundle(dreaming)
    cases = (EXAMPLES / "evaluation" / "cases.jsonl").read_text("utf-8").splitlines()
    answerable = [case for case in map(json.loads, cases) if case["answerable"]]
    return Voices(
        stable=await bundle(adapters / "formal"),
        friendly=await bundle(adapters / "friendly"),
        bad=bad,
        questions=tuple(case["question"] for case in answerable),
    )
