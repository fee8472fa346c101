"""What stands before the gateway lets answers stream, and lets nothing through but `/v1`."""

from __future__ import annotations

import pytest

from services.gateway.settings import Settings
from tests.unit.deploy.conftest import Manifest, of_kind, rendered

PATIENCE = max(
    Settings.model_fields["engine"].default.total_timeout_seconds,
    Settings.model_fields["upload_timeout_seconds"].default,
)
"""The longest that the gateway itself gives one request, in seconds."""

LARGEST = max(
    Settings.model_fields["max_upload_bytes"].default,
    Settings.model_fields["max_training_bytes"].default,
    Settings.model_fields["files"].default.max_bytes,
)
PREFIX = "nginx.ingress.kubernetes.io/"


@pytest.fixture(scope="module")
def ingress() -> Manifest:
    return of_kind(rendered("base", "ingress"), "Ingress")["gateway"]


def test_the_route_leads_to_the_gateway_and_waits_as_long_as_it(prod: list[Manifest]) -> None:
    (rule,) = of_kind(prod, "HTTPRoute")["gateway"]["spec"]["rules"]
    (match,) = rule["matches"]
    assert match["path"] == {"type": "PathPrefix", "value": "/v1"}
    (port,) = of_kind(prod, "Service")["gateway"]["spec"]["ports"]
    assert rule["backendRefs"] == [{"name": "gateway", "port": port["port"]}]
    for timeout in rule["timeouts"].values():
        assert float(timeout.removesuffix("s")) >= PATIENCE
    assert "retry" not in rule


def test_the_ingress_leads_to_the_gateway_and_waits_as_long_as_it(ingress: Manifest) -> None:
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/v1", "Prefix")
    assert path["backend"]["service"] == {"name": "gateway", "port": {"name": "http"}}
    notes = ingress["metadata"]["annotations"]
    assert float(notes[PREFIX + "proxy-read-timeout"]) >= PATIENCE
    assert float(notes[PREFIX + "proxy-send-timeout"]) >= PATIENCE
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_the_ingress_holds_no_token_back_and_no_upload(ingress: Manifest) -> None:
    notes = ingress["metadata"]["annotations"]
    for name in ("proxy-buffering", "proxy-request-buffering", "proxy-next-upstream"):
        assert notes[PREFIX + name] == "off"
    assert int(notes[PREFIX + "proxy-body-size"].removesuffix("m")) * 1024 * 1024 >= LARGEST
