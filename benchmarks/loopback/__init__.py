"""The two ends of a benchmark on one machine: an upstream and a client that cost next to nothing."""
