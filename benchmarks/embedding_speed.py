"""The packaged embedding model by torch and by ONNX Runtime: one core, the same texts.

Each runs in a process of its own, in turns, so that a busy machine slows both. CPU seconds are
compared, not wall time.

    python benchmarks/embedding_speed.py [--rounds 3] [--models-dir DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services.retriever.chunking import Chunker
from services.retriever.embedders.opening import load_encoder
from services.retriever.indexing import context_of
from services.retriever.settings import Embedding, Settings

CORPUS = Path(__file__).parents[1] / "examples" / "corpus"
QUESTIONS = (
    "How many days do I have to bring a purchase back?",
    "환불하려면 며칠 이내에 보내야 해요?",
    "What is the cutoff for same-day dispatch?",
    "고장 났을 때 수리비가 드나요?",
)
ASKED = 60
BACKENDS = {
    "torch float32": {"backend": "torch", "precision": "float32"},
    "torch bfloat16": {"backend": "torch", "precision": "bfloat16"},
    "onnx int8": {"backend": "onnx"},
}
BAR = 1.5
"""How many times the passages of torch float32 a CPU second should give."""


def main() -> int:
    """Measure each backend and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--backend", choices=BACKENDS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.backend:
        print(json.dumps(_measure(chosen.backend, chosen.models_dir)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return _compare(chosen.rounds, chosen.models_dir or Path(folder))


def _compare(rounds: int, models_dir: Path) -> int:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in BACKENDS}
    for _ in range(rounds):
        for name, results in found.items():
            results.append(_in_a_process(name, models_dir))
    print(f"{'':16}  open CPU s  PSS MB  question CPU ms  passages / CPU s")
    for name, results in found.items():
        opened, memory, question = (
            min(each[key] for each in results) for key in ("open", "memory", "question")
        )
        rate = max(each["rate"] for each in results)
        print(f"{name:16}  {opened:10.1f}  {memory:6.0f}  {question:15.2f}  {rate:16.1f}")
    first, last = found["torch float32"], found["onnx int8"]
    faster = statistics.median(
        ours["rate"] / theirs["rate"] for ours, theirs in zip(last, first, strict=True)
    )
    quicker = statistics.median(
        theirs["question"] / ours["question"] for ours, theirs in zip(last, first, strict=True)
    )
    print(f"onnx int8 against torch float32, median of {rounds} rounds:")
    print(f"  passages a CPU second {faster:.2f}x (bar {BAR}), a question {quicker:.2f}x")
    return 0 if faster >= BAR else 1


def _in_a_process(name: str, models_dir: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--backend", name, "--models-dir", str(models_dir)]
    printed = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    ).stdout
    result: dict[str, float] = json.loads(printed.splitlines()[-1])
    return result


def _measure(name: str, models_dir: Path) -> dict[str, float]:
    settings = Settings(
        api_key=SecretStr("benchmark"),
        data_dir=models_dir,
        models_dir=models_dir,
        embedding=Embedding.model_validate(BACKENDS[name]),
    )
    started = time.process_time()
    encoder = load_encoder(settings, frozenset())
    opened = time.process_time() - started
    chunker = Chunker(
        encoder.count_tokens,
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.chunk_overlap_tokens,
    )
    passages = [
        context_of(path.stem, chunk, encoder.count_tokens)
        for path in sorted(CORPUS.glob("*.md"))
        for chunk in chunker.chunks(path.read_text(encoding="utf-8"))
    ]
    encoder.encode(passages[:16], "passage")
    spent = min(_spent(encoder, passages, "passage") for _ in range(3))
    for question in QUESTIONS:
        encoder.encode([question], "query")
    asked = [_spent(encoder, [QUESTIONS[at % 4]], "query") for at in range(ASKED)]
    return {
        "open": opened,
        "memory": _pss_mb(),
        "question": statistics.median(asked) * 1000,
        "rate": len(passages) / spent,
    }


def _spent(encoder: Any, texts: list[str], kind: str) -> float:
    started = time.process_time()
    encoder.encode(texts, kind)
    return time.process_time() - started


def _pss_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
