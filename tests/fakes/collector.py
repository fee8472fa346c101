"""A collector of traces: takes OTLP over HTTP, as OpenTelemetry's own collector does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it arrived."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    """Empty for the root of a trace."""
    attributes: dict[str, Any]
    failed: bool


@dataclass(slots=True)
class Collector:
    """Keeps every span that it is sent."""

    spans: list[Seen] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        """What listens for exporters."""
        return Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])

    def of(self, trace: str) -> list[Seen]:
        """The spans of one trace, by its id."""
        return [span for span in self.spans if span.trace == trace]

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        self.raw.append(body)
        export = ExportTraceServiceRequest.FromString(body)
        for resource in export.resource_spans:
            named = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_seen(str(named["service.name"]), one) for one in scope.spans]
        return Response(content=b"", media_type="application/x-protobuf")


def _seen(service: str, one: Any) -> Seen:
    return Seen(
        service=service,
        name=one.name,
        kind=one.kind,
        trace=one.trace_id.hex(),
        id=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        attributes=_values(one.attributes),
        failed=one.status.code == 2,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
