"""Replay searches from an exhaustive table and measure how soon they find the front."""
