"""The search space and its samplers."""
