"""Experiments: the grid of cells, their jobs, and the publication of results."""
