"""Read the store, and run the commands that need a model."""
