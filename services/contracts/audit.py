"""The audit log: who changed what, when and why."""

from __future__ import annotations

from typing import Any, Literal

from services.contracts.wire import Wire

REASON_HEADER = "X-Inkstone-Reason"
"""Why an operator makes a change, percent-encoded; kept in the audit log."""


class AuditEvent(Wire):
    """One change of the registry."""

    id: str
    object: Literal["audit.event"] = "audit.event"
    at: float
    """Seconds since the epoch."""
    actor: str
    """The id of the key that was used, or the part of Inkstone that acted."""
    action: str
    """What was done, for example `assistant.bound`."""
    subject: str
    """What it was done to."""
    reason: str | None
    detail: dict[str, Any]
    request_id: str


class AuditPage(Wire):
    """One page of the tenant's audit log, newest first."""

    object: Literal["list"] = "list"
    data: list[AuditEvent]
    has_more: bool
