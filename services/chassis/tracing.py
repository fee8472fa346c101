"""Traces across the services, in W3C Trace Context and by OpenTelemetry's own variables.

Off unless an exporter is named (`OTEL_EXPORTER_OTLP_ENDPOINT`, or `..._TRACES_ENDPOINT`); then
nothing of OpenTelemetry is imported. A span never carries the text of a prompt, a document or an
answer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.access_log import QUIET

if TYPE_CHECKING:
    from opentelemetry import trace as otel
    from opentelemetry.context import Context

Kind = Literal["internal", "server", "client"]
Value = str | bool | int | float

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The collector's base URL, as OpenTelemetry names it."""
TRACES_VARIABLE = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
"""The whole URL for traces, as OpenTelemetry names it."""
PROTOCOL = "http/protobuf"
"""How spans are sent; the only way that we bring."""

_HEADERS = ("traceparent", "tracestate")


class TracingUnavailableError(RuntimeError):
    """Traces are asked for, and cannot be made."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that takes time; without tracing it is nothing."""

    _span: otel.Span | None = None
    context: Context | None = None
    """What spans under this one begin in."""

    @property
    def lives(self) -> bool:
        """Tell whether anything comes of what is noted."""
        return self._span is not None

    def note(self, attributes: Mapping[str, Value | None]) -> None:
        """Say more of it; None says nothing."""
        if self._span is not None:
            self._span.set_attributes({k: v for k, v in attributes.items() if v is not None})

    def rename(self, name: str) -> None:
        """Name it, when more is known than at its begin."""
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """Note that it failed, by the stable name of the failure."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR))

    @property
    def headers(self) -> dict[str, str]:
        """What tells another service that its spans belong under this one."""
        carrier = dict[str, str]()
        if self.context is not None:
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            TraceContextTextMapPropagator().inject(carrier, self.context)
        return carrier

    @property
    def trace_id(self) -> str:
        """Its trace as 32 hex digits; empty without tracing."""
        return f"{self._span.get_span_context().trace_id:032x}" if self._span is not None else ""


NO_SPAN = Span()
"""What stands for a span where there is no tracing."""


@dataclass(frozen=True, slots=True)
class _Here:
    """What makes spans, and the one that stands above the next."""

    tracer: otel.Tracer
    span: Span


_here: ContextVar[_Here | None] = ContextVar("tracing", default=None)


def current_span() -> Span:
    """Read the span that runs; one that is nothing outside of any."""
    here = _here.get()
    return NO_SPAN if here is None else here.span


@contextlib.contextmanager
def span(
    name: str, kind: Kind = "internal", attributes: Mapping[str, Value] | None = None
) -> Iterator[Span]:
    """Make a span of a block, under the one that runs, or at the root of a new trace."""
    here = _here.get()
    if here is None:
        yield NO_SPAN
        return
    with _begun(here.tracer, name, kind, here.span.context) as made:
        made.note(attributes or {})
        yield made


def client_span(
    name: str, describe: Callable[[], Mapping[str, Value]]
) -> contextlib.AbstractContextManager[Span]:
    """Make a span of a call to another service, where one stands above it.

    What a loop asks its neighbours every second is no trace.
    """
    if not current_span().lives:
        return contextlib.nullcontext(NO_SPAN)
    return span(name, "client", describe())


@contextlib.contextmanager
def _begun(tracer: otel.Tracer, name: str, kind: Kind, above: Context | None) -> Iterator[Span]:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, set_span_in_context

    root = Context() if above is None else above
    begun = tracer.start_span(name, context=root, kind=SpanKind[kind.upper()])
    made = Span(begun, set_span_in_context(begun, root))
    before = _here.get()
    _here.set(_Here(tracer, made))
    try:
        yield made
    except Exception as error:
        made.fail(str(getattr(error, "code", type(error).__qualname__)))
        raise
    finally:
        # Not `reset`: a stream that is given up may end in another context than it began in.
        _here.set(before)
        begun.end()


class TracingMiddleware:
    """Makes a span of each request, under the caller's; probes, scrapes and heartbeats make none.

    What runs beside the requests makes its spans with the same tracer.
    """

    def __init__(self, app: ASGIApp, tracer: otel.Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event stream."""
        if scope["type"] != "http":
            _here.set(_Here(self._tracer, NO_SPAN))
            await self._app(scope, receive, send)
            return
        if scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        with _begun(self._tracer, scope["method"], "server", _above(scope)) as made:
            made.note({"http.request.method": scope["method"], "url.path": scope["path"]})
            await self._app(scope, receive, _noting(send, made))
            # The route is known once the router has found it.
            if path := getattr(scope.get("route"), "path", None):
                made.rename(f"{scope['method']} {path}")
                made.note({"http.route": path})


def _noting(send: Send, made: Span) -> Send:
    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            made.note({"http.response.status_code": message["status"]})
            if message["status"] >= 500:
                made.fail(str(message["status"]))
        await send(message)

    return noted


def _above(scope: Scope) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    given = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
    carrier = {name: given[name] for name in _HEADERS if name in given}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def traces_endpoint(variables: Mapping[str, str]) -> str | None:
    """Read where traces go, as a whole URL; None where they go nowhere."""
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if variables.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None
    if whole := variables.get(TRACES_VARIABLE):
        return whole
    base = variables.get(ENDPOINT_VARIABLE)
    return f"{base.rstrip('/')}/v1/traces" if base else None


@contextlib.contextmanager
def traced(service: str) -> Iterator[Callable[[ASGIApp], ASGIApp]]:
    """Send this process's spans to where the variables say; yields what wraps its app.

    Raises:
        TracingUnavailableError: the exporter's packages are missing, or another way to send is
            asked for.
    """
    if traces_endpoint(os.environ) is None:
        yield lambda app: app
        return
    asked = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", PROTOCOL)
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", asked)
    if protocol != PROTOCOL:
        raise TracingUnavailableError(
            f"Traces are sent as {PROTOCOL}, not as {protocol}; point OpenTelemetry's variables to "
            "the collector's HTTP port."
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingUnavailableError(
            "Traces are asked for and OpenTelemetry is not installed; install the extra `tracing`."
        ) from error
    ours = Resource({"service.name": f"inkstone-{service}", "service.namespace": "inkstone"})
    # What an operator says of the service goes before what we say.
    provider = TracerProvider(
        resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect())
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("inkstone")
    try:
        yield lambda app: TracingMiddleware(app, tracer)
    finally:
        provider.shutdown()
