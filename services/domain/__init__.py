"""Pure rules that more than one process must apply alike; no I/O."""
