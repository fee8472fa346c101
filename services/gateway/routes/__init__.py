"""The gateway's HTTP surface; handlers are short and call the work."""
