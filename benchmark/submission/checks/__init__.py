"""Checks of entries, records and scores."""
