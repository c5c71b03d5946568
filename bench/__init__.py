"""Measured claims: each command prints what it measured, on what, and against which peer."""
