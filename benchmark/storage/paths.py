"""Fixed paths of the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Root of the checkout."""
ENTRIES = ROOT / "entries"
"""Directory of submitted entries."""
