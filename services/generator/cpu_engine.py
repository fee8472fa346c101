"""`python -m services.generator.cpu_engine`: vLLM's server on a CPU, with one fault mended.

In vLLM 0.32 a request for the base that shares a batch with a request for an adapter is answered by
whichever adapter lies in the last slot: the index that means "none" is -1, and the CPU's operations
use it as it stands (vLLM pull requests 48421 and 49656 mend it upstream; the GPU's kernels are
right). Here such rows are given zeros to work on, so that nothing is added to them.

The engine's core is a child process that imports this module again under the name `__mp_main__`;
that is why the mending happens on import there.
"""

from __future__ import annotations

import importlib
import runpy
from collections.abc import Callable
from typing import Any

SERVER = "vllm.entrypoints.openai.api_server"
_OPERATIONS = ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice")
_MODULES = ("vllm.lora.ops.torch_ops.lora_ops", "vllm.lora.ops.torch_ops")
"""Where the operations live, and where they are imported from."""

Operation = Callable[..., None]


class EngineNotMendable(RuntimeError):
    """This vLLM is not the one whose fault is known; wrong answers could not be ruled out."""


def mend() -> None:
    """Make the CPU's LoRA operations leave rows without an adapter alone.

    Raises:
        EngineNotMendable: when they are not where they were.
    """
    source, *others = (importlib.import_module(name) for name in _MODULES)
    for name in _OPERATIONS:
        operation = getattr(source, name, None)
        if operation is None:
            raise EngineNotMendable(f"{source.__name__} has no {name}; run vLLM 0.32")
        mended = without_strays(operation)
        for module in (source, *others):
            setattr(module, name, mended)


def without_strays(operation: Operation) -> Operation:
    """Wrap an operation so that rows whose adapter index is negative contribute nothing."""

    def mended(inputs: Any, weights: Any, output: Any, indices: Any, *a: Any, **kw: Any) -> None:
        chosen = indices >= 0
        if chosen.shape[0] == inputs.shape[0] and not bool(chosen.all()):
            inputs = inputs * chosen.unsqueeze(1).to(inputs.dtype)
        operation(inputs, weights, output, indices, *a, **kw)

    return mended


if __name__ in ("__main__", "__mp_main__"):
    mend()

if __name__ == "__main__":
    runpy.run_module(SERVER, run_name="__main__")
