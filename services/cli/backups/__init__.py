"""Copies of an installation's records: taken while it runs, checked, and put back."""
