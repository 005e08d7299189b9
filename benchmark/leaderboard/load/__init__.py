"""Records, scores and predictions, read and checked."""
