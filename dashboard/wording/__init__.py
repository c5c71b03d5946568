"""Trials, studies and numbers as text and tables."""
