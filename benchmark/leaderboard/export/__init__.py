"""The table as CSV, Markdown and LaTeX."""
