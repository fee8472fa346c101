"""Dashboards, recording rules and alerts, written as code and rendered into `deploy/`."""
