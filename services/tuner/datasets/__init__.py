"""Training rows: reading them, turning them into tokens, naming them by content."""
