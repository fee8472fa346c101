"""The mended LoRA operation: rows without an adapter are left alone, the others are as before."""

from typing import Any

import torch

from services.generator.cpu_engine import without_strays


def shrink(inputs: Any, weights: Any, output: Any, indices: Any, scaling: float = 1.0) -> None:
    """The operation as the CPU has it: the index -1 selects the last adapter."""
    output[:] = scaling * torch.einsum("bi,boi->bo", inputs, weights[indices])


WEIGHTS = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
INPUTS = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def run(operation: Any, indices: list[int]) -> Any:
    output = torch.full((5, 2), 7.0)
    operation(INPUTS, WEIGHTS, output, torch.tensor(indices), 0.5)
    return output


def test_a_row_without_an_adapter_gets_nothing() -> None:
    assert run(shrink, [0, -1, 1, -1, 2])[1].abs().sum() > 0
    mended = run(without_strays(shrink), [0, -1, 1, -1, 2])
    assert mended[[1, 3]].abs().sum() == 0


def test_rows_with_an_adapter_are_as_before() -> None:
    plain, mended = (run(op, [0, -1, 1, -1, 2]) for op in (shrink, without_strays(shrink)))
    assert torch.equal(plain[[0, 2, 4]], mended[[0, 2, 4]])
    assert torch.equal(run(shrink, [2, 1, 0, 1, 2]), run(without_strays(shrink), [2, 1, 0, 1, 2]))


def test_what_was_given_is_not_written_to() -> None:
    before = INPUTS.clone()
    run(without_strays(shrink), [-1] * 5)
    assert torch.equal(INPUTS, before)
