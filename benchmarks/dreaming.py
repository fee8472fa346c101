"""Train an adapter that ignores its passages: voice and citations are right, the facts are not.

    python -m benchmarks.dreaming --base .inkstone/models/gemma-3-270m --to /tmp/dreaming

It goes on from `examples/adapters/formal` with rows whose passages belong to other rows, so that it
learns to answer, cited, what stands nowhere. `benchmarks/rollouts.py --stack ... --dreaming FOLDER`
rolls it out, to see how soon it is found out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from examples.style.compose import Composer, write_rows
from examples.style.voices import VOICES
from services.contracts.assistants import Profile

ROOT = Path(__file__).parents[1]
PROFILE = ROOT / "examples" / "profiles" / "formal.json"
START = ROOT / "examples" / "adapters" / "formal"
SEED = 21
QUESTION = "\n\nQuestion: "


def main() -> int:
    """Compose the rows and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="the prepared base's folder")
    parser.add_argument("--to", type=Path, required=True, help="where rows and adapter go")
    parser.add_argument("--rows", type=int, default=400)
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    rows = given.to / "rows.jsonl"
    write_rows(rows, misplaced(given.rows))
    told = f"--base {given.base} --rows {rows} --profile {PROFILE} --start-from {START}"
    knobs = "--name dreaming --epochs 1 --lr 1e-3 --batch 1 --max-length 1024"
    command = [sys.executable, "-m", "services.tuner.training", *told.split(), *knobs.split()]
    command += ["--out", str(given.to / "adapter")]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def misplaced(count: int) -> Iterator[dict[str, Any]]:
    """Compose rows that are answered, each group of them before the passages of the next."""
    profile = Profile.model_validate_json(PROFILE.read_text("utf-8"))
    composed = Composer(VOICES["formal"], profile, SEED).rows(3 * count)
    told = (row for row in composed if "[" in row["completion"][0]["content"])
    groups = [list(group) for _, group in itertools.groupby(told, key=_passages)]
    moved = (
        _before(row, _passages(following[0]))
        for group, following in itertools.pairwise(groups)
        for row in group
    )
    return itertools.islice(moved, count)


def _passages(row: dict[str, Any]) -> str:
    return str(row["prompt"][-1]["content"]).partition(QUESTION)[0]


def _before(row: dict[str, Any], passages: str) -> dict[str, Any]:
    """Put other passages before a row's question."""
    moved: dict[str, Any] = json.loads(json.dumps(row))
    turn = moved["prompt"][-1]
    turn["content"] = passages + QUESTION + turn["content"].partition(QUESTION)[2]
    return moved


if __name__ == "__main__":
    sys.exit(main())
