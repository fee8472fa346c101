"""Real loopback servers that stand in for what a service talks to."""
