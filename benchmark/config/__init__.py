"""Presets: named settings of a run."""
