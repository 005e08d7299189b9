"""Scores of maps and of predictions."""
