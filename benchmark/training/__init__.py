"""From an untrained network to a model."""
