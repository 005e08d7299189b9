"""Loss terms that several regimes share."""
