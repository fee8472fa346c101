"""Shared prompts: fewer tokens to compute, and exactly the loss of the rows apart."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from services.tuner.collation import BranchCollator, branch_mask, layer_masks
from services.tuner.completion_loss import completion_loss
from services.tuner.datasets.encoding import IGNORED, EncodedRow, encode_row
from services.tuner.datasets.sharing import SharedRow, share_prefixes
from tests.unit.tuner.conftest import parsed, row

PASSAGE = "The mill on the river was opened by two sisters in 1904 and closed in 1987."


@pytest.fixture
def rows(tokenizer: PreTrainedTokenizerFast) -> list[EncodedRow]:
    asked = [
        ("When did it open?", "In 1904 [1]"),
        ("문 닫은 해는?", "1987년 [1]"),
        ("Who?", "Two [1]"),
    ]
    given = [parsed(row(question, answer, PASSAGE)) for question, answer in asked]
    other = parsed(row("When?", "In 2001 [1]", "A very different passage about tea."))
    return [encode_row(each, tokenizer, "<end_of_turn>") for each in (*given, other)]


def test_neighbours_with_one_prompt_become_one_sequence(rows: list[EncodedRow]) -> None:
    shared = share_prefixes(rows, most=4)
    assert [max(sequence.branches) for sequence in shared] == [3, 1]
    assert len(shared[0].input_ids) < sum(len(each.input_ids) for each in rows[:3])
    assert sum(label != IGNORED for label in shared[0].labels) == sum(
        each.trained for each in rows[:3]
    )


def test_most_bounds_the_branches(rows: list[EncodedRow]) -> None:
    assert [max(s.branches) for s in share_prefixes(rows, most=2)] == [2, 1, 1]
    assert len(share_prefixes(rows, most=1)) == 4


def test_a_branch_keeps_a_token_that_predicts_its_answer() -> None:
    prompt = list(range(40))
    same = [EncodedRow([*prompt, 90 + n], [IGNORED] * 40 + [90 + n]) for n in range(2)]
    [shared] = share_prefixes(same, most=4)
    starts = [at for at in range(1, 43) if shared.branches[at] != shared.branches[at - 1]]
    assert [shared.labels[at] for at in starts] == [IGNORED, IGNORED]


def test_the_loss_is_that_of_the_rows_apart(base: Path, rows: list[EncodedRow]) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.eval()

    def loss(sequences: list[SharedRow]) -> float:
        batch = BranchCollator(0)([asdict(sequence) for sequence in sequences])
        labels = batch.pop("labels")
        with torch.no_grad():
            hidden = model.model(**batch, use_cache=False).last_hidden_state
            return completion_loss(model, hidden, labels).item()

    assert loss(share_prefixes(rows, most=4)) == pytest.approx(
        loss(share_prefixes(rows, most=1)), abs=1e-5
    )
    assert loss(share_prefixes(rows, most=1)) == pytest.approx(_plain_loss(model, rows), abs=1e-5)


SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "sliding_window": 16,
}
MIXED = Gemma3TextConfig(**SMALL, layer_types=["sliding_attention", "full_attention"])


@pytest.mark.parametrize("config", [MIXED, MistralConfig(**SMALL)], ids=["some layers", "all"])
def test_rows_longer_than_the_base_s_window_are_learnt_as_they_will_be_served(
    config: PretrainedConfig,
) -> None:
    torch.manual_seed(1)
    made: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model = made.eval()
    prompt = [n % 60 + 1 for n in range(40)]
    rows = [EncodedRow([*prompt, a, a + 1], [IGNORED] * 41 + [a + 1]) for a in (3, 7)]
    shared = share_prefixes(rows, most=2)
    assert len(shared) == 1
    batch = BranchCollator(0)([asdict(sequence) for sequence in shared])
    labels = batch.pop("labels")
    visible, positions = batch["attention_mask"], batch["position_ids"]

    def loss(mask: Any) -> float:
        with torch.no_grad():
            given = {**batch, "attention_mask": mask}
            hidden = model.model(**given, use_cache=False).last_hidden_state
            return completion_loss(model, hidden, labels).item()

    served = pytest.approx(_plain_loss(model, rows), abs=1e-5)
    assert loss(layer_masks(config, visible, positions)) == served
    assert loss(visible) != served, "without the window it is another model"


def test_rows_within_the_window_need_no_mask_of_their_own() -> None:
    mask = branch_mask(torch.tensor([[1] * 16]))
    assert layer_masks(MIXED, mask, torch.arange(16)[None]) is mask
    assert layer_masks(LlamaConfig(), mask, torch.arange(16)[None] + 9000) is mask


def test_a_branch_sees_the_prefix_and_itself_only() -> None:
    mask = branch_mask(torch.tensor([[0, 0, 1, 1, 2, -1]]))[0, 0]
    seen = [[at for at, visible in enumerate(line) if visible] for line in mask.tolist()]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [5]]


def _plain_loss(model: torch.nn.Module, rows: list[EncodedRow]) -> float:
    """Compute the mean over all trained tokens with the model's own logits, row by row."""
    total, count = 0.0, 0
    for each in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([each.input_ids])).logits[0, :-1]
        targets = torch.tensor(each.labels[1:])
        total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        count += each.trained
    return total / count
