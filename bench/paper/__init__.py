"""Measure the paper's ablation and tables on our models."""
