"""The figures of a results directory."""
