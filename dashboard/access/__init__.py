"""Read the store, and run commands that need a model."""
