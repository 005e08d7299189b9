"""One cell, many cells, and what a run publishes."""
