"""The harness: it knows the three leaf packages; they know neither it nor each other."""
