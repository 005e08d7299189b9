"""Training: regimes, losses, the training loop and checkpoints."""
