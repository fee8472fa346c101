"""What stands behind the embedding seam: queues, and the two ways to run a model."""
