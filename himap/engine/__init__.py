"""Prune a model in place and put it back."""
