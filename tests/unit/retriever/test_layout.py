"""What a Qdrant server is told about keeping the chunks."""

from __future__ import annotations

import pytest
from qdrant_client import models

from services.retriever.index.layout import collection_options, field_indexes
from services.retriever.index.payloads import DENSE, KEYWORDS
from services.retriever.index.port import REVISION, SCOPE
from services.retriever.settings import Cluster


def test_there_is_a_graph_for_each_tenants_collection_and_none_over_all() -> None:
    dense = collection_options(384, Cluster(links=24))["vectors_config"][DENSE]
    assert (dense.hnsw_config.m, dense.hnsw_config.payload_m) == (0, 24)
    indexes = field_indexes()
    assert indexes.keys() == {SCOPE, REVISION, *KEYWORDS}
    assert indexes[SCOPE].is_tenant is True
    assert indexes[SCOPE].enable_hnsw is None
    assert not any(schema.enable_hnsw for field, schema in indexes.items() if field != SCOPE)


def test_shards_and_copies_are_passed_on() -> None:
    options = collection_options(384, Cluster(shards=12, replicas=2, write_consistency=2))
    assert options["shard_number"] == 12
    assert options["replication_factor"] == options["write_consistency_factor"] == 2


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [
        ("none", type(None)),
        ("scalar", models.ScalarQuantization),
        ("turbo", models.TurboQuantization),
    ],
)
def test_vectors_are_made_smaller_on_demand(chosen: str, kind: type) -> None:
    cluster = Cluster.model_validate({"quantization": chosen, "vectors_on_disk": True})
    dense = collection_options(384, cluster)["vectors_config"][DENSE]
    assert isinstance(dense.quantization_config, kind)
    assert dense.on_disk is True
