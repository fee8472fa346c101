"""Cross-entropy on the completion's tokens, with the head computed for those tokens only.

A large vocabulary makes the head the dearest layer of a small model: on a prompt of a few hundred
tokens its logits cost more than the whole body, and none of them carry loss.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from trl import SFTTrainer  # type: ignore[attr-defined]  # TRL exports it lazily

from services.tuner.collation import layer_masks
from services.tuner.datasets.encoding import IGNORED


class CompletionTrainer(SFTTrainer):
    """TRL's trainer with the head on labelled positions only."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the mean loss over the trained tokens of the whole optimiser step."""
        causal = self.accelerator.unwrap_model(model).get_base_model()
        hidden = causal.base_model(
            input_ids=inputs["input_ids"],
            attention_mask=layer_masks(
                causal.config, inputs["attention_mask"], inputs["position_ids"]
            ),
            position_ids=inputs["position_ids"],
            use_cache=False,
        ).last_hidden_state
        loss = completion_loss(causal, hidden, inputs["labels"], num_items_in_batch)
        return (loss, {"loss": loss}) if return_outputs else loss


def completion_loss(
    causal: Any, hidden: Tensor, labels: Tensor, items: Tensor | int | None = None
) -> Tensor:
    """Apply the head to the positions that predict a labelled token.

    Args:
        causal: the causal language model, for its head and its logit soft cap.
        items: the trained tokens of the whole step when gradients are accumulated.
    """
    targets = labels[:, 1:]
    kept = targets != IGNORED
    logits = causal.get_output_embeddings()(hidden[:, :-1][kept]).float()
    cap = getattr(causal.config, "final_logit_softcapping", None)
    if cap:
        logits = cap * torch.tanh(logits / cap)
    total = functional.cross_entropy(logits, targets[kept], reduction="sum")
    return total / (kept.sum() if items is None else items)
