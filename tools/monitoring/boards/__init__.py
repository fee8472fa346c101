"""The dashboards, one subject a file."""
