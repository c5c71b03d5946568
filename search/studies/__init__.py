"""A study: what it asks, what it learns, and how it is stored."""
