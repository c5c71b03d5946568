"""Measure what a search loses when its processes are killed and its database restarts."""
