"""Submitted entries: checks in a child process, evaluation, and rows in the tables."""
