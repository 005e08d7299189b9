"""Named settings, the grid of cells, and the job with its cache keys."""
