"""Rules of the ladder: what a rung is, what it is told, what it costs, and which one to take."""
