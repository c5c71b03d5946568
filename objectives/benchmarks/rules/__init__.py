"""Scoring rules that several benchmarks share."""
