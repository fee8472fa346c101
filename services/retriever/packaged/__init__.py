"""The embedding model that comes with the local stack, from its package to folders."""
