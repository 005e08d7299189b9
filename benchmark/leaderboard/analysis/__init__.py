"""What may be said of a table: contrasts, claims, comparisons, and changes."""
