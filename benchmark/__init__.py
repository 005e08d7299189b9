"""The harness. It imports the three leaf packages, and they import neither it nor each other."""

__version__ = "0.1.0"
