"""Parts of losses that several regimes share."""
