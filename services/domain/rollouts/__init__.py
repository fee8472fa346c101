"""Rollouts as pure rules: their states, the split of callers, the comparison of two arms."""
