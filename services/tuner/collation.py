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


def layer_masks(config: Any, visible: Tensor, positions: Tensor) -> Tensor | dict[str, Tensor]:
    """Narrow a mask for the layers that only see a window of tokens, as the engine's do.

    The library narrows masks that it makes itself and takes a finished one as it is.

    Args:
        config: the base's; `sliding_window` tokens are seen by layers of `sliding_attention`, or by
            all of them where it tells no kinds apart.
        visible: who sees whom, (batch, 1, length, length).
        positions: where each token stands in its own row, (batch, length).

    Returns:
        The mask itself where no row is longer than the window, else one for each kind of layer.
    """
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = set(getattr(text, "layer_types", None) or ["sliding_attention"])
    if window is None or "sliding_attention" not in kinds or int(positions.max()) < window:
        return visible
    near: Tensor = positions[:, None, :, None] - positions[:, None, None, :] < window
    if len(kinds) == 1:
        return visible & near
    return {"full_attention": visible, "sliding_attention": visible & near}


def _padded(lists: Sequence[Sequence[int]], value: int) -> Tensor:
    tensors = [torch.tensor(list(values)) for values in lists]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)
