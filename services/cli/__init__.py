"""The `inkstone` command."""
