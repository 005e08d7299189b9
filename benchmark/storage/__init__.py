"""What is stored: paths, atomic writes, hashes and the result record."""
