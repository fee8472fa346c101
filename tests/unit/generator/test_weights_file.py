"""bfloat16 weights written piece by piece, read by the library that everybody uses."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from services.generator.weights_file import to_bfloat16, write_bfloat16

TENSORS = {
    "b.weight": np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3),
    "a.weight": np.array([1.0, -0.5], dtype=np.float32),
}


def in_pieces(name: str) -> Iterator[npt.NDArray[np.float32]]:
    yield from np.array_split(TENSORS[name], 2)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "model.safetensors"
    shapes = {name: values.shape for name, values in TENSORS.items()}
    write_bfloat16(path, shapes, in_pieces, lambda done, total: seen.append((done, total)))
    read = load_file(path)
    for name, values in TENSORS.items():
        assert torch.equal(read[name], torch.from_numpy(values).to(torch.bfloat16))
    assert seen[-1] == (28, 28)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_rounding_is_torch_s_own(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    expected = torch.from_numpy(array.copy()).to(torch.bfloat16).view(torch.int16).numpy()
    assert np.array_equal(to_bfloat16(array).view(np.int16), expected)
