"""Measure what pruning saves in time and memory."""
