"""Analysis of a table: contrasts, claims, comparisons, and changes."""
