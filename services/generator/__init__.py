"""The agent beside each engine."""
