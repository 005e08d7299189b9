"""Strangers' code runs in a confined child process."""
