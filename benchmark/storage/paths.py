"""The checkout and its fixed places."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
ENTRIES = ROOT / "entries"
"""Submitted entries."""
