"""Replay searches from an exhaustive table of one benchmark."""
