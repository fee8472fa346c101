"""The packaged model as a graph for ONNX Runtime that multiplies in 8-bit integers.

The graph is written out node by node from the 4-bit file, so that making it needs no torch. Each
row of an activation (one token) is quantised with a scale of its own, symmetric about 128:

    scale = max |x| / 127,  q = round(x / scale) + 128,  y = (q - 128) W8 * scale * scales of W8

Thus a text's vector does not depend on the texts that share its pass, which it does when a whole
batch shares one scale (what ONNX Runtime's own dynamic quantisation does), and tokens with large
values do not cost the others their precision. Word embeddings stay in their 4 bits, exactly.
Nodes outside the ONNX standard are ONNX Runtime's own (domain `com.microsoft`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.retriever.packaged.weights import BLOCK_VALUES, Floats, PackedModel

RECIPE = "int8-rows-1"
"""Names how vectors are made of the 4-bit file; a change that moves vectors needs another name."""

_OPSET = 18
_IR_VERSION = 9
_LARGEST = 127
_CENTRE = 128
_LEAST_SCALED = 1e-9
"""Stands in for the largest value of a row of zeros."""


class _Graph:
    """Nodes and constants as they are added; a node's output carries the name it was given."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        from onnx import numpy_helper

        array = np.ascontiguousarray(values)
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(values)), name))
        return name

    def add(self, operation: str, inputs: list[str], *outputs: str, **options: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operation, inputs, list(outputs), **options))
        return outputs[0]

    def add_own(self, operation: str, inputs: list[str], output: str, **options: Any) -> str:
        return self.add(operation, inputs, output, domain="com.microsoft", **options)


def write_onnx_file(
    packed: PackedModel, path: Path, on_progress: Callable[[str, int, int], None]
) -> None:
    """Write the graph.

    Its inputs are `input_ids` and `attention_mask`, `(texts, tokens)` of 64-bit integers; its
    output `embedding` is `(texts, dimensions)`, the unit vector of each text's mean token.
    """
    from onnx import TensorProto, helper, save_model

    graph = _Graph()
    _add_shared_constants(graph)
    hidden = _embeddings(graph, packed)
    for layer in range(packed.shape.layers):
        hidden = _layer(graph, packed, layer, hidden)
        on_progress("quantise", layer + 1, packed.shape.layers)
    _pooling(graph, hidden)
    on_progress("write", 0, 1)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    size: list[str | int | None] = ["texts", packed.shape.hidden]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, size)
    model = helper.make_model(
        helper.make_graph(graph.nodes, RECIPE, inputs, [output], graph.constants),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)],
        ir_version=_IR_VERSION,
    )
    save_model(model, path)


def _add_shared_constants(graph: _Graph) -> None:
    graph.constant("first axis", np.array([0], np.int64))
    graph.constant("second axis", np.array([1], np.int64))
    graph.constant("last axis", np.array([-1], np.int64))
    graph.constant("share", np.array(1 / _LARGEST, np.float32))
    graph.constant("unscaled", np.array(1, np.float32))
    graph.constant("least", np.array(_LEAST_SCALED, np.float32))
    graph.constant("centre", np.array(_CENTRE, np.uint8))


def _embeddings(graph: _Graph, packed: PackedModel) -> str:
    shape = packed.shape
    words, scales = packed.packed_matrix("emb.word", shape.vocabulary, shape.hidden)
    # A text is one segment, so that the first segment's vector belongs to every position.
    segment = np.resize(packed.vector("emb.type"), (shape.types, shape.hidden))[0]
    positions = packed.vector("emb.pos").reshape(-1, shape.hidden) + segment
    graph.add_own(
        "GatherBlockQuantized",
        [graph.constant("words", words), "input_ids", graph.constant("word scales", scales)],
        "word",
        gather_axis=0,
        quantize_axis=1,
        block_size=BLOCK_VALUES,
        bits=4,
    )
    graph.add("Shape", ["input_ids"], "length", start=1, end=2)
    graph.add("Slice", [graph.constant("positions", positions), "first axis", "length"], "position")
    placed = graph.add("Add", ["word", "position"], "placed")
    graph.add("Cast", ["attention_mask"], "mask", to=_type("INT32"))
    return _normalised(graph, packed, "emb.ln", placed)


def _layer(graph: _Graph, packed: PackedModel, layer: int, hidden: str) -> str:
    name = f"l{layer}"
    size, inner, heads = packed.shape.hidden, packed.shape.inner, packed.shape.heads
    joint = _linear(graph, packed, [f"{name}.{part}" for part in "qkv"], (size, size), hidden)
    parts = [f"{name}.{part} part" for part in ("query", "key", "value")]
    graph.add("Split", [joint], *parts, axis=2, num_outputs=3)
    attended = graph.add_own(
        "MultiHeadAttention", [*parts, "", "mask"], f"{name}.attended", num_heads=heads
    )
    mixed = _linear(graph, packed, [f"{name}.ao"], (size, size), attended)
    hidden = graph.add("Add", [mixed, hidden], f"{name}.attention sum")
    hidden = _normalised(graph, packed, f"{name}.aln", hidden)
    wide = _product(graph, packed, [f"{name}.fi"], (inner, size), hidden)
    bias = graph.constant(f"{name}.fi bias", packed.vector(f"{name}.fi.b"))
    wide = graph.add_own("BiasGelu", [wide, bias], f"{name}.gelu")
    narrow = _linear(graph, packed, [f"{name}.fo"], (size, inner), wide)
    hidden = graph.add("Add", [narrow, hidden], f"{name}.output sum")
    return _normalised(graph, packed, f"{name}.oln", hidden)


def _pooling(graph: _Graph, hidden: str) -> None:
    """Add up the tokens that are no padding; a mean points the same way as the sum."""
    graph.add("Cast", ["attention_mask"], "weights", to=_type("FLOAT"))
    graph.add("Unsqueeze", ["weights", "second axis"], "weight rows")
    graph.add("MatMul", ["weight rows", hidden], "sums")
    graph.add("Squeeze", ["sums", "second axis"], "sum")
    graph.add("LpNormalization", ["sum"], "embedding", axis=-1, p=2)


def _linear(
    graph: _Graph, packed: PackedModel, names: list[str], size: tuple[int, int], inputs: str
) -> str:
    product = _product(graph, packed, names, size, inputs)
    values = np.concatenate([packed.vector(f"{name}.b") for name in names])
    bias = graph.constant(f"{names[0]} bias", values)
    return graph.add("Add", [product, bias], f"{names[0]} output")


def _product(
    graph: _Graph, packed: PackedModel, names: list[str], size: tuple[int, int], inputs: str
) -> str:
    """Multiply by the matrices of these names, `size` each, side by side."""
    name = names[0]
    weights, scales = _quantised([packed.matrix(f"{part}.w", *size) for part in names])
    largest = graph.add("ReduceMax", [inputs, "last axis"], f"{name} largest", keepdims=1)
    lowest = graph.add("ReduceMin", [inputs, "last axis"], f"{name} lowest", keepdims=1)
    negated = graph.add("Neg", [lowest], f"{name} negated")
    reach = graph.add("Max", [largest, negated, "least"], f"{name} reach")
    scale = graph.add("Mul", [reach, "share"], f"{name} row scale")
    inverse = graph.add("Reciprocal", [scale], f"{name} row inverse")
    scaled = graph.add("Mul", [inputs, inverse], f"{name} scaled")
    rows = graph.add("QuantizeLinear", [scaled, "unscaled", "centre"], f"{name} rows")
    product = graph.add_own(
        "MatMulIntegerToFloat",
        [
            rows,
            graph.constant(f"{name} weights", weights),
            "unscaled",
            graph.constant(f"{name} scales", scales),
            "centre",
        ],
        f"{name} product",
    )
    return graph.add("Mul", [product, scale], f"{name} in size")


def _quantised(matrices: list[Floats]) -> tuple[npt.NDArray[np.int8], Floats]:
    """Give `(inputs, outputs)` in 8 bits and a scale for each output."""
    values = np.concatenate(matrices).T
    scales = np.maximum(np.abs(values).max(axis=0), np.float32(_LEAST_SCALED)) / _LARGEST
    weights = np.clip(np.round(values / scales), -_LARGEST, _LARGEST).astype(np.int8)
    return weights, scales.astype(np.float32)


def _normalised(graph: _Graph, packed: PackedModel, name: str, inputs: str) -> str:
    gain = graph.constant(f"{name} gain", packed.vector(f"{name}.w"))
    bias = graph.constant(f"{name} bias", packed.vector(f"{name}.b"))
    epsilon = packed.shape.epsilon
    return graph.add(
        "LayerNormalization", [inputs, gain, bias], f"{name} output", axis=-1, epsilon=epsilon
    )


def _type(name: str) -> int:
    from onnx import TensorProto

    return int(TensorProto.DataType.Value(name))
