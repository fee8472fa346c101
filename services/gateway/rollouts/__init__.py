"""Rollouts: begun by operators, moved by a controller that one gateway at a time runs."""
