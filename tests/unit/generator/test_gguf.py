"""A GGUF file read by our own reader, beside the library that wrote it and transformers."""

from pathlib import Path

import numpy as np
import pytest

from services.generator import gemma
from services.generator.gguf_file import GgufError, GgufFile
from tests.unit.generator.gguf_writing import KINDS, TOKENS, write_gguf


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    return path


def test_metadata_is_read_as_it_was_written(path: Path) -> None:
    with GgufFile(path) as file:
        assert file.metadata["general.architecture"] == "gemma3"
        assert file.metadata["tokenizer.ggml.tokens"] == TOKENS
        assert list(file.metadata["tokenizer.ggml.token_type"]) == KINDS
        assert file.metadata["gemma3.rope.freq_base"] == 1_000_000.0


def test_tensors_are_read_as_gguf_s_own_reader_reads_them(path: Path) -> None:
    from gguf import GGUFReader
    from gguf.quants import dequantize

    expected = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    with GgufFile(path) as file:
        assert {tensor.name for tensor in file.tensors} == set(expected)
        for tensor in file.tensors:
            theirs = expected[tensor.name]
            ours = np.concatenate(list(file.chunks(tensor))).reshape(tensor.shape)
            assert np.array_equal(ours, dequantize(theirs.data, theirs.tensor_type))


def test_a_file_that_is_not_gguf_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "x.gguf"
    other.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(GgufError):
        GgufFile(other)


def test_names_and_configuration_are_those_that_transformers_expects(path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    with GgufFile(path) as file:
        written = gemma.configuration(file.metadata)
        names = {gemma.tensor_name(tensor.name) for tensor in file.tensors}
    kind = written.pop("model_type")
    config = AutoConfig.for_model(kind, **written)
    model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    assert names == set(model.state_dict()) - {"lm_head.weight"}


@pytest.mark.parametrize(
    "text",
    ["abc", " abc ab", "한국 abc", "  ", "é", "<bos>a<end_of_turn>\n\nb", "", "<0x41>", "a\n\n\nb"],
)
def test_the_tokenizer_is_the_one_that_transformers_makes(path: Path, text: str) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    with GgufFile(path) as file:
        ours = gemma.tokenizer(file.metadata)
    tokens = ours.encode(text, add_special_tokens=True).ids
    assert tokens == theirs(text, add_special_tokens=False).input_ids
    assert ours.decode(tokens, skip_special_tokens=False) == theirs.decode(tokens)
