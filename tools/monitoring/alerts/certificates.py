"""Alerts on the certificates of the ways in, which others hold and others measure.

cert-manager shows the end of each certificate that it keeps; a blackbox exporter shows the end of
the one that a caller is given. Either will do, and without both the alerts stay quiet.
"""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

_LEFT = (
    '((certmanager_certificate_expiration_timestamp_seconds{namespace="inkstone"}'
    ' or probe_ssl_earliest_cert_expiry{job="inkstone-certificate"}) - time())'
)
_KEPT = 'certmanager_certificate_expiration_timestamp_seconds{namespace="inkstone", name="chat"}'
_GIVEN = 'probe_ssl_earliest_cert_expiry{job="inkstone-certificate", instance="https://a"}'

CERTIFICATES = (
    Alert(
        "CertificateExpiring",
        f"{_LEFT} < 14 * 86400 and {_LEFT} > 0",
        "1h",
        "ticket",
        "The certificate {{ $labels.name }}{{ $labels.instance }} ends within two weeks.",
        fires=Case({_KEPT: "864000x90"}, "70m", {"namespace": "inkstone", "name": "chat"}),
        quiet=Case({_GIVEN: "1296000x90", _KEPT: "1296000x90"}, "70m"),
    ),
    Alert(
        "CertificateExpired",
        f"{_LEFT} <= 0",
        "0m",
        "page",
        "The certificate {{ $labels.name }}{{ $labels.instance }} has ended; apps turn away.",
        fires=Case(
            {_GIVEN: "600x20"}, "15m", {"job": "inkstone-certificate", "instance": "https://a"}
        ),
        quiet=Case({_GIVEN: "86400x20"}),
        page="certificate-expiring",
    ),
)
