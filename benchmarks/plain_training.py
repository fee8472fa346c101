"""Train on the same 1,000 Korean reviews with Inkstone and with a plain script, and ask both alike.

    python benchmarks/plain_training.py --to /tmp/plain [--base .inkstone/models/gemma-3-270m]

The plain script is transformers and PEFT and nothing of ours: a prompt without instructions,
float32, eight rows a step, 100 rows three times and then all 1,000 once. Inkstone's is
`python -m services.tuner.training` with the recipe that it chooses itself. Each is asked every test
review (NSMC, 2,000) for the likelier first token of the two labels, which needs no engine. What is
trained in DIR is not trained again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ladder import TASKS
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.contracts.assistants import Profile
from services.domain.evaluation.pairs import mcnemar
from services.domain.statistics import proportion

ROOT = Path(__file__).parents[1]
ROWS = 1000
FEW, TIMES = 100, 3
BATCH, RATE, RANK, WARMUP = 8, 2e-4, 16, 0.05
DRAW = 100
"""Reviews of a small test; how much the share differs from draw to draw is told."""


@dataclass(frozen=True)
class Way:
    """How a review is asked about, and what the labels are then."""

    name: str
    text: str
    labels: tuple[str, str]
    dtype: torch.dtype


PLAIN = Way("plain", "<bos>리뷰: {review}\n감정:", (" 부정", " 긍정"), torch.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--base", type=Path, default=ROOT / ".inkstone/models/gemma-3-270m")
    parser.add_argument("--to", type=Path, default=Path("plain-training"))
    given = parser.parse_args()
    if not (given.data / "nsmc_test.jsonl").exists() or not given.base.exists():
        print("# skipped: NSMC or the prepared base is not there; name them with --data, --base")
        return
    torch.set_num_threads(1)
    given.to.mkdir(parents=True, exist_ok=True)
    make, _ = TASKS["nsmc"]
    task = make(given.data, 150)
    rows = [(one["messages"][0]["content"], one["messages"][1]["content"]) for one in task.rows]
    random.Random(1).shuffle(rows)
    profile = Profile.model_validate(task.profile)
    ours = Way(
        "Inkstone",
        f"<bos>{profile.system}\n\n{{review}}\n\nAnswer:\n",
        ("부정", "긍정"),
        torch.bfloat16,
    )
    train_ours(given.base, given.to, profile, rows[:ROWS])
    train_plainly(given.base, given.to / PLAIN.name, rows[:ROWS])
    test = objects(given.data / "nsmc_test.jsonl")
    found = {way.name: asked(given.base, given.to, way, test) for way in (ours, PLAIN)}
    print(f"{'':10}{len(test)} reviews{'':14}the first 100   draws of {DRAW}")
    for name, right in found.items():
        share = proportion(sum(right), len(right))
        draws = [sum(right[at : at + DRAW]) for at in range(0, len(right), DRAW)]
        interval = f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"
        spread = f"{min(draws)} to {max(draws)}"
        print(f"{name:10}{100 * share.mean:.1f} % {interval:15}{draws[0]:10}%{spread:>18} %")
    pairs = list(zip(found[ours.name], found[PLAIN.name], strict=True))
    gained, lost = pairs.count((True, False)), pairs.count((False, True))
    print(f"only Inkstone right {gained}, only plain {lost}: p = {mcnemar(gained, lost):.2g}")


def train_ours(base: Path, to: Path, profile: Profile, rows: Sequence[tuple[str, str]]) -> None:
    """Train as a job does."""
    out = to / "Inkstone"
    if (out / "inkstone.json").exists():
        return
    kept, written = to / "profile.json", to / "rows.jsonl"
    kept.write_text(profile.model_dump_json(), encoding="utf-8")
    with written.open("w", encoding="utf-8") as file:
        for question, answer in rows:
            turns = [("system", profile.system), ("user", question), ("assistant", answer)]
            messages = [{"role": role, "content": content} for role, content in turns]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    command = [sys.executable, "-m", "services.tuner.training", "--base", base, "--rows", written]
    further = ["--profile", kept, "--name", "nsmc", "--out", out, "--resume"]
    began = time.perf_counter()
    subprocess.run(
        [str(part) for part in (*command, *further)],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    print(f"# Inkstone's training took {time.perf_counter() - began:.0f} s")


def train_plainly(base: Path, out: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Train as the libraries' own examples do."""
    if (out / "adapter_model.safetensors").exists():
        return
    began = time.perf_counter()
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=PLAIN.dtype)
    lora = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(model, lora).train()
    order = [*range(FEW)] * TIMES + random.Random(1).sample(range(len(rows)), len(rows))
    batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    weights = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=RATE)
    warmup = max(1, int(WARMUP * len(batches)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: (
            (step + 1) / warmup
            if step < warmup
            else (len(batches) - step) / max(1, len(batches) - warmup)
        ),
    )
    for batch in batches:
        prompts, answers = [], []
        for place in batch:
            review, answer = rows[place]
            prompts.append(tokenizer.encode(prompted(PLAIN, review), add_special_tokens=False))
            answers.append(tokenizer.encode(f" {answer}<end_of_turn>", add_special_tokens=False))
        longest = max(map(len, map(list.__add__, prompts, answers)))
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
        for at, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            end = len(prompt) + len(answer)
            ids[at, :end] = torch.tensor(prompt + answer)
            labels[at, len(prompt) : end] = torch.tensor(answer)
            mask[at, :end] = 1
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    model.save_pretrained(out)
    print(f"# the plain training took {time.perf_counter() - began:.0f} s")


@torch.no_grad()
def asked(base: Path, to: Path, way: Way, test: Sequence[dict[str, Any]]) -> list[bool]:
    """Tell for each review whether its own label is the likelier one."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=way.dtype)
    model = PeftModel.from_pretrained(model, to / way.name).merge_and_unload().eval()
    firsts = [tokenizer.encode(label, add_special_tokens=False)[0] for label in way.labels]
    prompts = [
        tokenizer.encode(prompted(way, one["text"]), add_special_tokens=False) for one in test
    ]
    right = [False] * len(test)
    order = sorted(range(len(test)), key=lambda place: len(prompts[place]))
    for begin in range(0, len(order), BATCH):
        places = order[begin : begin + BATCH]
        longest = max(len(prompts[place]) for place in places)
        ids = torch.zeros(len(places), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for at, place in enumerate(places):
            ids[at, : len(prompts[place])] = torch.tensor(prompts[place])
            mask[at, : len(prompts[place])] = 1
        hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
        last = hidden[torch.arange(len(places)), mask.sum(1) - 1]
        likelier = model.lm_head(last)[:, firsts].argmax(1)
        for place, label in zip(places, likelier.tolist(), strict=True):
            right[place] = label == test[place]["label"]
    return right


def prompted(way: Way, review: str) -> str:
    return way.text.format(review=" ".join(review.split()))


def objects(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


if __name__ == "__main__":
    main()
