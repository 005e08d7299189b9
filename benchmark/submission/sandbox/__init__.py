"""Runs untrusted entries in a confined child process."""
