"""From the user's directory to the arrays that models train on and maps are scored against."""
