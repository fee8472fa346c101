"""Ingestion jobs: bytes on disk first, then documents in batches, whatever dies in between."""
