"""Exports the table as CSV, Markdown and LaTeX."""
