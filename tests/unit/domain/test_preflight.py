"""Preflight: one refusal for each cause, and nothing but a refusal for nonsense."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.adapters import CONFIG_FILE, WEIGHTS_FILE
from services.domain.preflight import (
    HEADER_LIMIT_BYTES,
    AdapterShape,
    PreflightError,
    content_hash,
    inspect,
    read_header,
)
from tests.fakes.adapters import write_adapter

CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj"],
    "bias": "none",
    "base_model_name_or_path": "base",
}
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def tensor(rows: int, columns: int, start: int = 0, dtype: str = "F32") -> dict[str, Any]:
    size = rows * columns * {"F32": 4, "F16": 2, "BF16": 2}.get(dtype, 1)
    return {"dtype": dtype, "shape": [rows, columns], "data_offsets": [start, start + size]}


def pair(module: str = LAYER, rank: int = 4) -> dict[str, Any]:
    return {
        f"{module}.lora_A.weight": tensor(rank, 6),
        f"{module}.lora_B.weight": tensor(6, rank, start=rank * 6 * 4),
    }


def refusal(
    config: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    **limits: Any,
) -> str:
    with pytest.raises(PreflightError) as caught:
        inspect(config or CONFIG, header if header is not None else pair(), max_rank=8, **limits)
    assert str(caught.value).endswith(".")
    return caught.value.code


def test_a_plain_adapter_passes() -> None:
    header = {"__metadata__": {"format": "pt"}, **pair(), **pair(LAYER.replace("q_", "v_"), 2)}
    assert inspect(CONFIG, header, max_rank=8) == AdapterShape(4, ("q_proj", "v_proj"), "base", 4)


def test_an_adapter_written_to_disk_passes_with_its_size(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "voice", "a", rank=8)
    weights = (folder / WEIGHTS_FILE).read_bytes()
    (length,) = struct.unpack("<Q", weights[:8])
    config = json.loads((folder / CONFIG_FILE).read_text())
    shape = inspect(config, read_header(weights), max_rank=8, data_bytes=len(weights) - 8 - length)
    assert (shape.rank, shape.target_modules) == (8, ("q_proj",))


@pytest.mark.parametrize("kind", ["IA3", None, 7, ["LORA"], "lora"])
def test_anything_but_lora_is_refused(kind: Any) -> None:
    assert refusal({**CONFIG, "peft_type": kind}) == "adapter_not_lora"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_dora", True),
        ("lora_bias", True),
        ("layer_replication", [[0, 4]]),
        ("alora_invocation_tokens", [1]),
        ("use_qalora", True),
        ("use_bdlora", {"x": 1}),
        ("trainable_token_indices", [1]),
        ("target_parameters", ["w"]),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("init_lora_weights", "pissa_niter_16"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "LoftQ"),
        ("init_lora_weights", "something new"),
    ],
)
def test_a_feature_that_the_engine_cannot_serve_is_refused(key: str, value: Any) -> None:
    assert refusal({**CONFIG, key: value}) == "adapter_unsupported_feature"


@pytest.mark.parametrize("init", [True, False, None, "gaussian", "eva"])
def test_an_initialisation_that_leaves_the_base_alone_passes(init: Any) -> None:
    assert inspect({**CONFIG, "init_lora_weights": init}, pair(), max_rank=8).rank == 4


@pytest.mark.parametrize(
    "change",
    [
        {"r": None},
        {"r": "4"},
        {"r": 0},
        {"r": True},
        {"lora_alpha": None},
        {"target_modules": None},
        {"rank_pattern": {"q_proj": "8"}},
        {"rank_pattern": ["q_proj"]},
    ],
)
def test_a_configuration_that_the_engine_cannot_read_is_refused(change: dict[str, Any]) -> None:
    assert refusal({**CONFIG, **change}) == "adapter_broken_config"


def test_a_rank_over_the_engines_limit_is_refused() -> None:
    assert refusal(header=pair(rank=16)) == "adapter_rank_too_high"


@pytest.mark.parametrize("change", [{"r": 16}, {"rank_pattern": {"v_proj": 16}}])
def test_a_configured_rank_over_the_limit_is_refused_though_no_tensor_has_it(
    change: dict[str, Any],
) -> None:
    assert refusal({**CONFIG, **change}) == "adapter_rank_too_high"


def test_modules_that_the_base_does_not_have_are_refused() -> None:
    assert refusal(base_modules=frozenset({"k_proj"})) == "adapter_wrong_modules"
    inspect(CONFIG, pair(), max_rank=8, base_modules=frozenset({"q_proj"}))


@pytest.mark.parametrize(
    "name",
    ["lm_head.weight", "x.lora_A.default.weight", "lora_A.weight", f"{LAYER}.lora_A.weight\n", ""],
)
def test_a_tensor_that_is_no_lora_matrix_is_refused(name: str) -> None:
    assert refusal(header={**pair(), name: tensor(4, 6)}) == "adapter_unexpected_tensor"


@pytest.mark.parametrize("dtype", ["I8", "F64", None, ["F32"], 32])
def test_another_number_format_is_refused(dtype: Any) -> None:
    broken = {**tensor(4, 6), "dtype": dtype}
    assert refusal(header={**pair(), f"{LAYER}.lora_A.weight": broken}) == "adapter_wrong_dtype"


@pytest.mark.parametrize("header", [{}, {"__metadata__": {"format": "pt"}}])
def test_weights_without_matrices_are_refused(header: dict[str, Any]) -> None:
    assert refusal(header=header) == "adapter_empty"


@pytest.mark.parametrize(
    "entry",
    [
        "not an object",
        None,
        [],
        {**tensor(5, 6)},
        {**tensor(4, 6), "shape": [4]},
        {**tensor(4, 6), "shape": [4, 6, 1]},
        {**tensor(4, 6), "shape": ["4", "6"]},
        {**tensor(4, 6), "shape": [-4, -6]},
        {**tensor(4, 6), "shape": [4.0, 6.0]},
        {**tensor(4, 6), "shape": [10**30, 10**30]},
        {**tensor(4, 6), "shape": None},
        {**tensor(4, 6), "data_offsets": None},
        {**tensor(4, 6), "data_offsets": [0, 95]},
    ],
)
def test_matrices_that_do_not_fit_each_other_are_refused(entry: Any) -> None:
    assert refusal(header={**pair(), f"{LAYER}.lora_A.weight": entry}) == "adapter_broken_pair"


@pytest.mark.parametrize("side", ["A", "B"])
def test_half_a_pair_is_refused(side: str) -> None:
    header = {k: v for k, v in pair().items() if f"lora_{side}" in k}
    assert refusal(header=header) == "adapter_broken_pair"


def test_a_truncated_file_is_refused() -> None:
    assert refusal(data_bytes=10) == "adapter_truncated"
    inspect(CONFIG, pair(), max_rank=8, data_bytes=192)


def framed(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00" * 7,
        b"PK\x03\x04" + b"\x00" * 60,
        struct.pack("<Q", HEADER_LIMIT_BYTES + 1) + b"{}",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        framed(b"[]"),
        framed(b"\xff\xfe"),
        framed(b"{"),
        framed(b"[" * 200_000),
        framed(b'{"a":' * 100_000),
    ],
)
def test_bytes_that_are_no_safetensors_file_are_refused(head: bytes) -> None:
    with pytest.raises(PreflightError) as caught:
        read_header(head)
    assert caught.value.code == "adapter_not_safetensors"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=8,
)
ENTRY = JSON | st.fixed_dictionaries({"dtype": st.just("F32"), "shape": JSON, "data_offsets": JSON})
NAME = st.text(max_size=12) | st.sampled_from(list(pair()))


@given(header=st.dictionaries(NAME, ENTRY, max_size=4), config=st.dictionaries(NAME, JSON))
def test_random_headers_are_refused_and_never_crash(
    header: dict[str, Any], config: dict[str, Any]
) -> None:
    for given_config in (CONFIG, {**CONFIG, **config}, {"peft_type": "LORA", **config}):
        with pytest.raises(PreflightError):
            inspect(given_config, header, max_rank=8)


@given(st.dictionaries(st.sampled_from([*CONFIG, "rank_pattern", "init_lora_weights"]), JSON))
def test_random_configurations_never_crash(config: dict[str, Any]) -> None:
    try:
        shape = inspect({**CONFIG, **config}, pair(), max_rank=8)
    except PreflightError:
        return
    assert shape.rank <= 8


@given(st.binary(max_size=64) | JSON.map(lambda value: framed(json.dumps(value).encode())))
def test_random_bytes_never_crash(head: bytes) -> None:
    code = "adapter_not_safetensors"
    try:
        assert isinstance(read_header(head), dict)
    except PreflightError as error:
        code = error.code
    assert code == "adapter_not_safetensors"


def test_the_content_hash_depends_on_both_files_and_on_nothing_else() -> None:
    assert content_hash(b"{}", "00") == content_hash(b"{}", "00")
    assert (
        len({content_hash(b"{}", "00"), content_hash(b"{ }", "00"), content_hash(b"{}", "01")}) == 3
    )
