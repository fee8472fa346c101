"""The vector index: one port, two engines behind it."""
