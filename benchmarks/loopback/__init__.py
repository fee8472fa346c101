"""The two ends of a benchmark on one machine: upstream and client cost next to nothing."""
