"""How well a model diagnoses, and how well it withstands attacks on the diagnosis."""
