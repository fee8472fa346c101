"""Sequences of unlike length as one batch, with a mask that keeps the branches apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from services.tuner.datasets.encoding import IGNORED
from services.tuner.datasets.sharing import PREFIX

_PADDING = -1


class BranchCollator:
    """Pads on the right and builds the attention mask of every sequence."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Make one batch."""
        branches = _padded([row["branches"] for row in rows], _PADDING)
        return {
            "input_ids": _padded([row["input_ids"] for row in rows], self._pad_token_id),
            "labels": _padded([row["labels"] for row in rows], IGNORED),
            "position_ids": _padded([row["positions"] for row in rows], 0),
            "attention_mask": branch_mask(branches),
        }


def branch_mask(branches: Tensor) -> Tensor:
    """Say who sees whom: earlier tokens of the prefix and of one's own branch.

    Padding sees itself, because a row of the mask without any token gives no number at all.
    """
    length = branches.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    keys, queries = branches[:, None, :], branches[:, :, None]
    visible = ((keys == PREFIX) & (queries != _PADDING)) | (keys == queries) & (keys != _PADDING)
    alone = torch.eye(length, dtype=torch.bool)
    return ((visible & causal) | alone)[:, None]


def _padded(lists: Sequence[Sequence[int]], value: int) -> Tensor:
    tensors = [torch.tensor(list(values)) for values in lists]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)
