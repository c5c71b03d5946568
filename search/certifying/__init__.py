"""Measure a search's best configurations again on held-out questions."""
