"""Bulk ingestion: a large corpus in shards, each the work of one process among many."""
