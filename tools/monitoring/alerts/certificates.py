"""Alerts on the certificates of the ways in, which others hold and others measure.

cert-manager shows the end of each certificate that it keeps; a blackbox exporter shows the end of
the one that a caller is given. Either will do, and without both the alerts stay quiet.

A scrape of cert-manager with `honorLabels` has the certificate's namespace in `namespace`, one
without it has it in `exported_namespace`, beside cert-manager's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from tools.monitoring.rules import Alert, Case

NAMESPACES = "inkstone|gateways"
"""Where certificates lie: beside an Ingress of ours, or beside the Gateway of an HTTPRoute."""

_ENDS = "certmanager_certificate_expiration_timestamp_seconds"
_LEFT = (
    f'(({_ENDS}{{namespace=~"{NAMESPACES}"}} or {_ENDS}{{exported_namespace=~"{NAMESPACES}"}}'
    ' or probe_ssl_earliest_cert_expiry{job="inkstone-certificate"}) - time())'
)
_KEPT_LABELS = {"namespace": "inkstone", "name": "chat", "instance": "10.0.0.1:9402"}
_EXPORTED_LABELS = _KEPT_LABELS | {"namespace": "cert-manager", "exported_namespace": "gateways"}


def _kept(labels: Mapping[str, str]) -> str:
    pairs = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{_ENDS}{{{pairs}}}"


_GIVEN = 'probe_ssl_earliest_cert_expiry{job="inkstone-certificate", instance="https://a"}'

CERTIFICATES = (
    Alert(
        "CertificateExpiring",
        f"{_LEFT} < 14 * 86400 and {_LEFT} > 0",
        "1h",
        "ticket",
        "The certificate {{ or $labels.name $labels.instance }} ends within two weeks.",
        fires=Case({_kept(_KEPT_LABELS): "864000x90"}, "70m", _KEPT_LABELS),
        quiet=Case({_GIVEN: "1296000x90", _kept(_KEPT_LABELS): "1296000x90"}, "70m"),
        fires_too=(Case({_kept(_EXPORTED_LABELS): "864000x90"}, "70m", _EXPORTED_LABELS),),
        quiet_too=(
            Case({_kept(_EXPORTED_LABELS | {"exported_namespace": "other"}): "864000x90"}, "70m"),
        ),
    ),
    Alert(
        "CertificateExpired",
        f"{_LEFT} <= 0",
        "0m",
        "page",
        "The certificate {{ or $labels.name $labels.instance }} has ended; apps turn away.",
        fires=Case(
            {_GIVEN: "600x20"}, "15m", {"job": "inkstone-certificate", "instance": "https://a"}
        ),
        quiet=Case({_GIVEN: "86400x20"}),
        fires_too=(Case({_kept(_EXPORTED_LABELS): "600x20"}, "15m", _EXPORTED_LABELS),),
        page="certificate-expiring",
    ),
)
