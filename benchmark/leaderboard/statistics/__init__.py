"""Bootstrap, tests, ranks and letters."""
