"""The network is open where the system calls, and nowhere else."""

from __future__ import annotations

import pytest

from tests.unit.deploy.conftest import ROOT, SYSTEMS, Manifest, of_kind, rendered
from tests.unit.deploy.network import Place, allows, lets_in, openings, places

CALLS = {
    ("gateway", "retriever", 8001),
    ("gateway", "generator", 8100),
    ("generator", "gateway", 8000),
    ("tuner", "gateway", 8000),
    ("app", "gateway", 8000),
    ("prometheus", "gateway", 8000),
    ("prometheus", "retriever", 8001),
    ("prometheus", "generator", 8002),
    ("prometheus", "tuner", 8003),
}
"""What is open in every tree."""

IN_PROD = CALLS | {
    ("prometheus", "generator", 8100),
    ("retriever", "qdrant", 6333),
    ("retriever", "qdrant", 6334),
}

APP = Place("app", {"app": "shop"}, "shop")
PROMETHEUS = Place("prometheus", {}, "monitoring")
STRANGER = Place("stranger", {"app": "stranger"})
"""A pod that somebody started in our own namespace."""
STORE = Place("store", address="203.0.113.7")
METADATA = Place("metadata", address="169.254.169.254")
"""Where a cloud tells a machine's own secrets."""
POD_IDENTITY = Place("pod identity", address="169.254.170.23")
"""Where EKS tells what a service account may do."""


def everybody(manifests: list[Manifest]) -> list[Place]:
    return [*places(manifests).values(), APP, PROMETHEUS, STRANGER]


@pytest.mark.parametrize("tree", SYSTEMS)
def test_open_is_what_the_system_calls_and_nothing_more(tree: str) -> None:
    manifests = rendered(tree)
    expected = IN_PROD if tree == "overlays/prod" else CALLS
    assert set(openings(manifests, everybody(manifests))) == expected


def test_the_shards_of_a_bulk_ingestion_reach_qdrant_only(prod: list[Manifest]) -> None:
    manifests = [*prod, *rendered("overlays/prod-bulk")]
    bulk = places(manifests)["bulk"]
    assert set(openings(manifests, [bulk])) == {("bulk", "qdrant", 6333), ("bulk", "qdrant", 6334)}


def test_qdrants_peers_reach_one_another_and_nobody_else_reaches_that_port(
    prod: list[Manifest],
) -> None:
    known = places(prod)
    assert allows(prod, known["qdrant"], known["qdrant"], 6335)
    for caller in everybody(prod):
        if caller.name != "qdrant":
            assert not allows(prod, caller, known["qdrant"], 6335), caller.name


@pytest.mark.parametrize(
    ("callee", "port", "callers"),
    [
        ("qdrant", 6333, {"retriever", "bulk"}),
        ("generator", 8100, {"gateway", "prometheus"}),
        ("retriever", 8001, {"gateway", "prometheus"}),
    ],
)
def test_a_door_is_closed_from_the_inside_too(
    prod: list[Manifest], callee: str, port: int, callers: set[str]
) -> None:
    manifests = [*prod, *rendered("overlays/prod-bulk")]
    known = places(manifests)
    others = [place for place in everybody(manifests) if place.name != callee]
    let_in = {one.name for one in others if lets_in(manifests, one, known[callee], port)}
    assert let_in == callers


def test_only_what_keeps_artifacts_leaves_the_cluster_for_the_object_store(
    prod: list[Manifest],
) -> None:
    leaving = {name for name, place in places(prod).items() if allows(prod, place, STORE, 443)}
    # The retriever fetches its embedding model.
    assert leaving == {"gateway", "generator", "tuner", "retriever"}
    assert not any(allows(prod, place, STORE, 80) for place in places(prod).values())


def test_rights_of_a_service_account_are_to_be_had_and_those_of_the_machine_are_not(
    prod: list[Manifest],
) -> None:
    known = places(prod).values()
    asking = {place.name for place in known if allows(prod, place, POD_IDENTITY, 80)}
    assert asking == {"gateway", "generator", "tuner"}
    for port in (80, 443):
        assert not any(allows(prod, place, METADATA, port) for place in known)


def test_databases_are_reached_by_who_keeps_one(prod: list[Manifest]) -> None:
    reaching = {name for name, place in places(prod).items() if allows(prod, place, STORE, 5432)}
    assert reaching == {"gateway", "retriever"}


@pytest.mark.parametrize(
    ("resolver", "port"),
    [
        (Place("coredns", {"k8s-app": "kube-dns"}, "kube-system"), 53),
        (Place("a cache on the node", address="169.254.20.10"), 53),
        (Place("a cloud's own", address="169.254.169.254"), 53),
        (Place("openshift", {}, "openshift-dns"), 5353),
    ],
)
def test_everybody_can_look_names_up(manifests: list[Manifest], resolver: Place, port: int) -> None:
    assert all(allows(manifests, place, resolver, port) for place in places(manifests).values())


def test_what_no_policy_names_is_denied(manifests: list[Manifest]) -> None:
    policy = of_kind(manifests, "NetworkPolicy")["default-deny"]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert not allows(manifests, STRANGER, STORE, 443)


def test_without_the_default_everything_else_would_be_open(prod: list[Manifest]) -> None:
    undefended = [m for m in prod if m["metadata"]["name"] not in ("default-deny", "names")]
    assert allows(undefended, STRANGER, places(undefended)["gateway"], 8000)
    assert not allows(prod, STRANGER, places(prod)["gateway"], 8000)


def test_the_page_of_operations_shows_what_is_open() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for caller, callee, port in IN_PROD:
        assert f"| {caller} | {callee} | {port} |" in page
