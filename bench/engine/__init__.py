"""Measure what a trial costs beside its evaluation."""
