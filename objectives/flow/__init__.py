"""Measure which tokens pass information to which, layer by layer."""
