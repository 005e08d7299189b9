"""From a directory of the user's to arrays that a model can train on and maps can be scored against."""
