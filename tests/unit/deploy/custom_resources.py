"""The shapes of the custom resources that the manifests use, as strict as a cluster's own.

Only the fields that we write: whoever uses another adds it here, from the resource's reference
(gateway-api.sigs.k8s.io/reference, prometheus-operator.dev/docs/api-reference).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from tests.unit.deploy.conftest import Manifest

Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class ParentRef(Strict):
    group: Literal["gateway.networking.k8s.io"]
    kind: Literal["Gateway"]
    name: str
    namespace: str
    section_name: str


class Path(Strict):
    type: Literal["Exact", "PathPrefix", "RegularExpression"]
    value: Annotated[str, StringConstraints(pattern="^/")]


class Match(Strict):
    path: Path


class Timeouts(Strict):
    request: Duration
    backend_request: Duration


class BackendRef(Strict):
    name: str
    port: Port


class RouteRule(Strict):
    matches: Annotated[list[Match], Field(min_length=1)]
    timeouts: Timeouts
    backend_refs: Annotated[list[BackendRef], Field(min_length=1)]


class HTTPRoute(Strict):
    parent_refs: list[ParentRef]
    hostnames: list[str]
    rules: list[RouteRule]


class Selector(Strict):
    match_labels: dict[str, str]


class SecretKey(Strict):
    name: str
    key: str


class Authorization(Strict):
    credentials: SecretKey


class Relabeling(Strict):
    target_label: str
    replacement: str


class Endpoint(Strict):
    port: str
    path: str
    interval: Duration
    relabelings: list[Relabeling]
    authorization: Authorization | None = None


class PodMonitor(Strict):
    selector: Selector
    pod_metrics_endpoints: Annotated[list[Endpoint], Field(min_length=1)]


KINDS: dict[tuple[str, str], type[Strict]] = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTPRoute,
    ("monitoring.coreos.com/v1", "PodMonitor"): PodMonitor,
}


def is_custom(manifest: Manifest) -> bool:
    """Tell whether Kubernetes' own schemas do not know this kind."""
    return (manifest["apiVersion"], manifest["kind"]) in KINDS


def check_custom(manifest: Manifest) -> Any:
    """Check a custom resource's spec.

    Raises:
        pydantic.ValidationError: when it is not of the shape.
        KeyError: for a kind, or a version of it, that is not listed.
    """
    return KINDS[manifest["apiVersion"], manifest["kind"]].model_validate(manifest["spec"])
