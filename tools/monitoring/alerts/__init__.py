"""All alerts: those of the objectives, and one subject a file."""

from __future__ import annotations

from tools.monitoring.alerts.adapters import ADAPTERS
from tools.monitoring.alerts.certificates import CERTIFICATES
from tools.monitoring.alerts.costs import COSTS
from tools.monitoring.alerts.knowledge import KNOWLEDGE
from tools.monitoring.alerts.records import RECORDS
from tools.monitoring.alerts.rollouts import ROLLOUTS
from tools.monitoring.alerts.serving import SERVING
from tools.monitoring.alerts.training import TRAINING
from tools.monitoring.objectives import OBJECTIVES

GROUPS = {
    "objectives": tuple(alert for each in OBJECTIVES for alert in each.alerts()),
    "serving": SERVING,
    "adapters": ADAPTERS,
    "rollouts": ROLLOUTS,
    "records": RECORDS,
    "costs": COSTS,
    "knowledge": KNOWLEDGE,
    "training": TRAINING,
    "certificates": CERTIFICATES,
}
"""All alerts, by the group that evaluates them."""

ALERTS = tuple(alert for alerts in GROUPS.values() for alert in alerts)
"""All alerts."""
