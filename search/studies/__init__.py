"""A study: what it asks, what it learns, and its place in the store."""
