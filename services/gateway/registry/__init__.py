"""The registry database and what the gateway keeps of it in memory."""
