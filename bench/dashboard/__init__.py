"""Measure how long the dashboard takes with 100,000 trials."""
