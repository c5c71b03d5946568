"""The model and the questions of a search."""
