"""Measure the information flow between image and text tokens, layer by layer."""
