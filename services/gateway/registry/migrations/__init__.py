"""The registry's schema, step by step; applied by every gateway at start."""
