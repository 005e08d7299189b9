"""Entries from outside: looked at in a child process, run, checked, and admitted to the tables."""
