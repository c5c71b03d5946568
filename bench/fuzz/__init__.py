"""Feed generated bad inputs to everything that reads a file, an URL or an option."""
