"""Tracing costs nothing until somebody asks for it, and says so when it cannot be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

from services.chassis.tracing import (
    NO_SPAN,
    TracingUnavailableError,
    client_span,
    current_span,
    span,
    traced,
    traces_endpoint,
)

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
WHOLE = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, None),
        ({BASE: "http://here:4318/"}, "http://here:4318/v1/traces"),
        ({BASE: "http://here:4318", WHOLE: "http://there/v1/x"}, "http://there/v1/x"),
        ({BASE: "http://here:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({BASE: "http://here:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_the_standard_variables_turn_it_on(variables: dict[str, str], endpoint: str | None) -> None:
    assert traces_endpoint(variables) == endpoint


def test_without_them_opentelemetry_is_not_even_imported() -> None:
    program = (
        "import sys, services.chassis.serving, services.chassis.http\n"
        "from services.chassis.tracing import span, traced\n"
        "with traced('gateway') as wrapped, span('x') as made:\n"
        "    made.note({'a': 1}); made.fail('x'); assert made.headers == {}\n"
        "    assert wrapped(len) is len\n"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout.strip() == "[]"


def test_without_tracing_a_span_is_nothing() -> None:
    with span("one") as one, client_span("two", dict) as two:
        assert one is NO_SPAN
        assert two is NO_SPAN
        assert current_span() is NO_SPAN
        assert one.trace_id == ""


def test_a_protocol_that_we_do_not_bring_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE, "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(TracingUnavailableError, match="http/protobuf"), traced("gateway"):
        pass
