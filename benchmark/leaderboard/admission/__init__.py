"""One admission of records for all commands: what it refuses is left out everywhere, and named with its reason."""
