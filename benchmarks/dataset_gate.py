"""How long the data set gate takes for 100,000 rows, beside reading them as JSON alone.

    python benchmarks/dataset_gate.py --rows 100000

Rows are made here: sentences of drawn words in two languages, a hundredth of them nearly repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time

from services.contracts.datasets import DatasetPolicy
from services.domain.datasets.gate import Surroundings, checked

SYLLABLES = ("ka", "to", "mi", "re", "su", "lo", "가", "나", "보", "리", "수", "무")
NEARLY_REPEATED = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    lines = made(options.rows)
    began = time.process_time()
    for line in lines:
        json.loads(line)
    bare = time.process_time() - began
    judged = [json.loads(line)["messages"][0]["content"] for line in lines[:50]]
    began = time.process_time()
    report = checked(lines, Surroundings(judged=judged), DatasetPolicy())
    gate = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(map(len, lines)) / 2**20
    print(f"{report.rows} rows, {size:.0f} MiB; peak memory {peak:.0f} MiB")
    print(f"json alone {bare:.1f} s, the gate {gate:.1f} s of CPU: {gate / bare:.0f} times")
    for found in report.findings:
        print(f"  {found.severity} {found.code}: {found.message}")


def made(count: int) -> list[bytes]:
    chance = random.Random(1)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 3))) for _ in range(5000)]
    rows = list[tuple[str, str]]()
    for _ in range(count):
        if rows and chance.random() < NEARLY_REPEATED:
            question, answer = chance.choice(rows)
            rows.append((question + " " + chance.choice(words), answer))
        else:
            texts = [" ".join(chance.choices(words, k=chance.randint(15, 60))) for _ in range(2)]
            rows.append((texts[0], texts[1]))
    return [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
            }
        ).encode()
        for question, answer in rows
    ]


if __name__ == "__main__":
    main()
