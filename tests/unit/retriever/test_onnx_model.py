"""The packaged model for ONNX Runtime, on a tiny one: made, compared, refused, served."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.retriever.embedders.onnx_encoder import PASS_TOKENS, OnnxEncoder, passes
from services.retriever.embedding import Kind
from services.retriever.onnx_model import (
    MANIFEST_FILE,
    Likeness,
    OnnxManifest,
    hash_of,
    read_manifest,
)
from services.retriever.packaged import onnx_folder
from services.retriever.packaged.onnx_graph import write_onnx_file
from services.retriever.packaged.sample_texts import SAMPLE_TEXTS
from services.retriever.packaged.tokenizer_file import write_tokenizer
from services.retriever.packaged.weights import Floats, PackedModel
from tests.fakes.packed_model import HIDDEN, LAYERS, POSITIONS, tiny_file

TEXTS = ["apple", "apples pie", "pie pie pie apple apples", "", "바나나 apple"]


def silent(*_: object) -> None:
    return None


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.bin"
    tiny_file(path)
    return path


@pytest.fixture
def encoder(weights: Path, tmp_path: Path) -> OnnxEncoder:
    packed = PackedModel(weights.read_bytes())
    folder = tmp_path / "plain"
    folder.mkdir()
    write_tokenizer(packed.vocabulary, folder)
    write_onnx_file(packed, folder / "model.onnx", silent)
    manifest = OnnxManifest(
        recipe="test",
        source="0" * 64,
        files={},
        dimensions=HIDDEN,
        max_tokens=POSITIONS,
        padding=1,
        prompts={"query": "apple ", "passage": ""},
        likeness=Likeness(texts=0, mean=0, least=0),
        accepted=True,
    )
    return OnnxEncoder(folder, manifest, threads=1, texts_a_pass=4)


def made(
    weights: Path, folder: Path, encoder: OnnxEncoder, *, turned: float = 0.0, first: int = 1000
) -> OnnxManifest:
    """Make a folder, compared with the vectors of another encoder, the first of them turned."""

    def reference(texts: Sequence[str], kind: Kind) -> Floats:
        prompts = {"query": "query: ", "passage": "passage: "}
        vectors = np.array(encoder.encode([prompts[kind] + text for text in texts], "passage"))
        aside = np.roll(vectors, 1, axis=1)
        aside -= np.sum(aside * vectors, axis=1, keepdims=True) * vectors
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        vectors[:first] = (np.cos(turned) * vectors + np.sin(turned) * aside)[:first]
        return vectors

    folder.mkdir()
    return onnx_folder.write_onnx_folder(weights, folder, reference, silent)


def test_vectors_have_unit_length_and_come_in_order(encoder: OnnxEncoder) -> None:
    together = np.array(encoder.encode(TEXTS, "passage"))
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    alone = np.array([encoder.encode([text], "passage")[0] for text in TEXTS])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_a_vector_does_not_depend_on_its_neighbours(encoder: OnnxEncoder) -> None:
    (alone,) = encoder.encode(["apple"], "passage")
    for neighbour in ("pie", "s", "pie s apple pie", "apples apples"):
        assert encoder.encode(["apple", neighbour], "passage")[0] == pytest.approx(alone, abs=1e-5)


def test_the_prompt_comes_before_the_text(encoder: OnnxEncoder) -> None:
    (question,) = encoder.encode(["pie"], "query")
    (passage,) = encoder.encode(["apple pie"], "passage")
    assert question == pytest.approx(passage, abs=1e-6)


def test_a_long_text_is_cut_to_what_the_model_reads(encoder: OnnxEncoder) -> None:
    words = ["apple"] * (POSITIONS - 2)
    (cut,) = encoder.encode([" ".join([*words, "pie", "pie"])], "passage")
    assert cut == pytest.approx(encoder.encode([" ".join(words)], "passage")[0], abs=1e-6)
    assert encoder.count_tokens("apple " * 50) == POSITIONS


def test_tokens_are_counted_without_what_the_model_adds(encoder: OnnxEncoder) -> None:
    assert [encoder.count_tokens(text) for text in ("apples pie", "apple", "")] == [3, 1, 0]


def test_threads_share_a_model(encoder: OnnxEncoder) -> None:
    expected = np.array(encoder.encode(TEXTS, "passage"))
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: encoder.encode(TEXTS, "passage"), range(40)):
            assert np.array(vectors) == pytest.approx(expected, abs=1e-6)


def test_passes_hold_like_lengths_within_their_bounds() -> None:
    lengths = [10, 500, 12, 480, 200, 11, 190] + [512] * 20
    shared = list(passes(lengths, 16))
    assert sorted(at for chosen in shared for at in chosen) == list(range(len(lengths)))
    for chosen in shared:
        inside = [lengths[at] for at in chosen]
        assert len(inside) <= 16
        assert max(inside) * len(inside) <= PASS_TOKENS
        assert min(inside) >= 0.75 * max(inside) - 8
    assert list(passes([PASS_TOKENS + 1], 16)) == [[0]]
    assert list(passes([], 16)) == []
    assert [len(chosen) for chosen in passes([8, 20, 14, 17], 16)] == [4]


def test_a_model_like_its_source_is_kept_with_what_was_measured(
    weights: Path, tmp_path: Path, encoder: OnnxEncoder
) -> None:
    folder = tmp_path / "kept"
    manifest = made(weights, folder, encoder)
    assert manifest.accepted
    assert manifest.likeness.texts == 2 * len(SAMPLE_TEXTS)
    assert manifest.likeness.least == pytest.approx(1, abs=1e-4)
    assert manifest.source == hash_of(weights)
    assert (manifest.max_tokens, manifest.dimensions) == (POSITIONS, HIDDEN)
    assert read_manifest(folder) == manifest
    assert {path.name for path in folder.iterdir()} == {*manifest.files, MANIFEST_FILE}


def test_a_model_unlike_its_source_is_refused_and_that_is_remembered(
    weights: Path, tmp_path: Path, encoder: OnnxEncoder
) -> None:
    folder = tmp_path / "refused"
    manifest = made(weights, folder, encoder, turned=0.15)
    assert not manifest.accepted
    assert manifest.likeness.mean == pytest.approx(np.cos(0.15), abs=1e-3)
    assert read_manifest(folder) == manifest
    assert [path.name for path in folder.iterdir()] == [MANIFEST_FILE]


def test_one_text_that_is_far_off_is_reason_enough(
    weights: Path, tmp_path: Path, encoder: OnnxEncoder
) -> None:
    manifest = made(weights, tmp_path / "refused", encoder, turned=0.15, first=1)
    assert manifest.likeness.mean > onnx_folder.LEAST_MEAN_COSINE
    assert not manifest.accepted


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", MANIFEST_FILE])
def test_a_damaged_folder_is_not_believed(
    weights: Path, tmp_path: Path, encoder: OnnxEncoder, name: str
) -> None:
    folder = tmp_path / "damaged"
    made(weights, folder, encoder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    assert read_manifest(folder) is None
    (folder / name).unlink()
    assert read_manifest(folder) is None


def test_a_fingerprint_names_the_source_and_the_recipe(
    weights: Path, tmp_path: Path, encoder: OnnxEncoder
) -> None:
    manifest = made(weights, tmp_path / "model", encoder)
    assert len(manifest.fingerprint) == 12
    others = [
        manifest.model_copy(update=change).fingerprint
        for change in ({"recipe": "other"}, {"source": "f" * 64})
    ]
    assert len({manifest.fingerprint, *others}) == 3
    rewritten = manifest.model_copy(update={"files": {"model.onnx": "f" * 64}})
    assert rewritten.fingerprint == manifest.fingerprint


def test_progress_counts_the_layers(weights: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    packed = PackedModel(weights.read_bytes())
    write_onnx_file(packed, tmp_path / "model.onnx", lambda *step: told.append(step))
    assert told == [("quantise", LAYERS, LAYERS), ("write", 0, 1)]


def test_the_same_weights_give_the_same_file(weights: Path, tmp_path: Path) -> None:
    packed = PackedModel(weights.read_bytes())
    for name in ("a", "b"):
        write_onnx_file(packed, tmp_path / name, silent)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
