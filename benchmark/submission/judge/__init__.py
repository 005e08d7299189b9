"""The judge outside of the box: it holds test masks and labels, and asks a network in a box for its answers."""
