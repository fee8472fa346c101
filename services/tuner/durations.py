"""Lengths of time as a person says them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Write a length of time in its largest fitting unit."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
