"""Making the engine hold the adapter versions that the gateway wants, and proving it."""
