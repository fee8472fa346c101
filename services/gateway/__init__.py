"""The only process that apps reach."""
