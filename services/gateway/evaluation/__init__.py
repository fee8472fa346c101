"""Evaluations that the gateway makes itself: cases asked of two releases, beside the callers."""
